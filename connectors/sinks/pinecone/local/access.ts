import type { IncomingHttpHeaders } from "node:http";
import { timingSafeEqual, createHash } from "node:crypto";
import { isOwnHost } from "sluice";
import { invalid, Refusal } from "./refusal.ts";

/** Refuses who must not be here: a page's own host name, no key or a wrong one, an API version not taken. */
export function checkAccess(
  headers: IncomingHttpHeaders,
  allowed: {
    readonly host: string;
    readonly apiKey: string | undefined;
    readonly versions: readonly string[];
    /** Which part of the API is asked: they answer a wrong key in their own ways. */
    readonly plane: "control" | "data";
  },
): void {
  const { host } = headers;
  // Where a key is needed, a page that reaches us by a name of its own does not have it.
  if (allowed.apiKey === undefined && host !== undefined && !isOwnHost(host, allowed.host))
    throw new Refusal(
      403,
      7,
      `Host ${JSON.stringify(host)} is neither an address nor the name this server listens on: use its address, or start it with that name as its host, or with an API key`,
    );
  const key = headers["api-key"];
  if (key === undefined || key === "")
    throw new Refusal(401, 16, "Invalid API Key: the Api-Key header is missing");
  if (allowed.apiKey !== undefined && !isSame(String(key), allowed.apiKey))
    throw allowed.plane === "control"
      ? new Refusal(401, 16, "Invalid API Key")
      : new Refusal(403, 7, "Wrong API key");
  const version = String(headers["x-pinecone-api-version"] ?? "");
  if (allowed.versions.length > 0 && !allowed.versions.includes(version))
    throw invalid(
      `API version '${version}' is not taken here: X-Pinecone-Api-Version must be one of ${allowed.versions.join(", ")}`,
    );
}

function isSame(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
