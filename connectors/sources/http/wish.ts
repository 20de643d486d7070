import type { IncomingHttpHeaders } from "node:http";

/** How a caller wants the answer to its question. */
export interface Wish {
  readonly kind: "wait" | "stream";
  readonly waitMs: number;
}

/** `Prefer: wait=N` (RFC 7240), or `Accept: text/event-stream`; undefined: it does not want to wait. */
export function wishOf(
  { prefer, accept = "" }: IncomingHttpHeaders,
  maxWaitSeconds: number,
): Wish | undefined {
  const preferred = Array.isArray(prefer) ? prefer.join(",") : prefer;
  const asked = /(?:^|[,;])\s*wait\s*=\s*"?(\d+)"?\s*(?:$|[,;])/i.exec(preferred ?? "")?.[1];
  const seconds = asked === undefined ? undefined : Math.min(Number(asked), maxWaitSeconds);
  if (seconds === 0) return undefined;
  if (/(?:^|,)\s*text\/event-stream\s*(?:$|[,;])/i.test(accept))
    return { kind: "stream", waitMs: (seconds ?? maxWaitSeconds) * 1_000 };
  return seconds === undefined ? undefined : { kind: "wait", waitMs: seconds * 1_000 };
}
