import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { isOwnHost } from "sluice";
import { Refusal } from "./refusal.ts";

/** Throws `Refusal` 401 or 403 for a caller that must not come in. */
export type Guard = (headers: IncomingHttpHeaders) => void;

/** With a token, whoever has it; without one, whoever names us by an address of this machine. */
export function guard({
  token,
  host,
}: {
  readonly token?: string | undefined;
  readonly host: string;
}): Guard {
  if (token === undefined)
    return (headers) => {
      if (isOwnHost(headers.host, host)) return;
      throw new Refusal(403, "the Host header does not name this source.", {
        fix: `Call it by its address, or set a token.`,
      });
    };
  const wanted = digest(token);
  return ({ authorization = "" }) => {
    const given = /^Bearer +(\S+) *$/i.exec(authorization)?.[1];
    // Of equal length, whatever was sent: the comparison takes the same time for each.
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return;
    throw new Refusal(
      401,
      given === undefined ? "a token is wanted." : "the token is not the right one.",
      {
        fix: "Send the source's token: Authorization: Bearer <token>.",
        headers: { "www-authenticate": 'Bearer realm="sluice"' },
      },
    );
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
