import { STATUS_CODES, type ServerResponse } from "node:http";
import type { Refusal } from "./refusal.ts";

export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A caller that does not read its answer is cut off after so long. */
const lingerMs = 5_000;

/** Sends the whole answer. `isLast` ends the connection with it. */
export function send(response: ServerResponse, reply: Reply, isLast: boolean): void {
  const bytes = Buffer.from(JSON.stringify(reply.body));
  response.writeHead(reply.status, {
    "content-type": reply.type,
    "content-length": bytes.length,
    ...(isLast && { connection: "close" }),
    ...reply.headers,
  });
  response.end(bytes);
  cutWhenIdle(response);
}

export function toProblem({
  status,
  message,
  fix,
  headers,
}: Refusal): Reply & { readonly body: object } {
  const title = STATUS_CODES[status] ?? "Error";
  return {
    status,
    type: "application/problem+json",
    body: { title, status, detail: message, ...(fix !== undefined && { fix }) },
    headers,
  };
}

/** After the answer was ended: it has so long to be read. */
export function cutWhenIdle(response: ServerResponse): void {
  if (response.writableFinished || response.closed) return;
  const timer = setTimeout(() => response.destroy(), lingerMs).unref();
  response.once("close", () => clearTimeout(timer));
}
