import type { ServerResponse } from "node:http";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Answer } from "./call.ts";
import { invalid, Refusal } from "./refusal.ts";
import type { Settings } from "./settings.ts";

export interface Reply {
  readonly status: number;
  /** Text is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** How a reply is spoiled on purpose. */
export interface Spoiling {
  /** Cut the connection in the middle of the body. */
  readonly truncate?: boolean;
  /** Send the body in pieces, with pauses of this length between them. */
  readonly slowBodyMs?: number;
}

const pieces = 8;

export async function send(
  response: ServerResponse,
  { status, body, headers = {} }: Reply,
  { truncate = false, slowBodyMs = 0 }: Spoiling = {},
): Promise<void> {
  const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
  const bytes = Buffer.from(text);
  response.writeHead(status, {
    ...(text !== "" && { "content-type": "application/json" }),
    "x-pinecone-request-id": randomUUID(),
    "content-length": bytes.length,
    ...headers,
  });
  if (!truncate && slowBodyMs === 0) {
    response.end(bytes);
    return;
  }
  const size = Math.ceil(bytes.length / pieces);
  for (let piece = 0; piece < pieces; piece++) {
    if (truncate && piece === pieces / 2) {
      response.destroy();
      return;
    }
    response.write(bytes.subarray(piece * size, (piece + 1) * size));
    if (slowBodyMs > 0) await sleep(slowBodyMs);
  }
  response.end();
}

/** A reply for an answer: its LSNs under the names that clients read, its counts as numbers or as texts. */
export function toReply(
  { status = 200, body, written, indexed }: Answer,
  { lsnHeaders, int64AsString }: Settings,
): Reply {
  const observed = lsnHeaders !== "python" && lsnHeaders !== "none";
  const python = lsnHeaders === "python" || lsnHeaders === "both";
  const writes = written !== undefined;
  const reads = indexed !== undefined && lsnHeaders !== "writesOnly";
  return {
    status,
    body: int64AsString ? countsAsText(body) : body,
    headers: {
      ...(observed && writes && { "x-pinecone-request-lsn": String(written) }),
      ...(observed && reads && { "x-pinecone-max-indexed-lsn": String(indexed) }),
      ...(python && writes && { "x-pinecone-lsn-committed": String(written) }),
      ...(python && reads && { "x-pinecone-lsn-reconciled": String(indexed) }),
    },
  };
}

/** The error bodies of the data plane and of the control plane. */
export function toErrorReply(error: unknown, isControl: boolean): Reply {
  const { status, code, message } = toRefusal(error);
  return {
    status,
    body: isControl
      ? { status, error: { code: names[status] ?? "UNKNOWN", message } }
      : { code, message, details: [] },
  };
}

const names: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  409: "ALREADY_EXISTS",
  422: "UNPROCESSABLE_ENTITY",
  429: "RESOURCE_EXHAUSTED",
  501: "UNIMPLEMENTED",
};

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const { code, message } = error as { code?: string; message?: string };
  // Another process kept the file's write lock longer than we wait: the caller may try again.
  if (code?.startsWith("SQLITE_BUSY") === true)
    return new Refusal(503, 14, "the database file is busy");
  if (code?.startsWith("SQLITE_FULL") === true)
    return new Refusal(500, 13, "the disk of the data folder is full: free some space");
  if (code === "SQLITE_READONLY")
    return new Refusal(403, 7, "this server was started for reading only");
  // Only a body can be nested so deeply.
  if (error instanceof RangeError && /call stack/.test(error.message))
    return invalid("the body is nested too deeply");
  return new Refusal(500, 13, message ?? "internal error");
}

const counts = new Set(["vectorCount", "totalVectorCount", "upsertedCount", "matchedRecords"]);
const snakeCounts = new Set(["record_count", "total_count"]);

function countsAsText(body: unknown): unknown {
  if (body === undefined) return undefined;
  return JSON.parse(JSON.stringify(body), (key, value: unknown) =>
    typeof value === "number" && (counts.has(key) || snakeCounts.has(key)) ? String(value) : value,
  ) as unknown;
}
