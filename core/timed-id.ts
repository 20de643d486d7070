import { randomBytes } from "node:crypto";

/** An id that sorts by when it was made, to the millisecond, e.g. `0mxk3v2p1-9f8e7d6c`. */
export function timedId(): string {
  return `${Date.now().toString(36).padStart(9, "0")}-${randomBytes(4).toString("hex")}`;
}

/** When a `timedId`, or what begins with one, was made: `Date.now()`. Undefined for any other text. */
export function timeOfId(id: string): number | undefined {
  const [, time] = /^([0-9a-z]{9})-[0-9a-f]{8}/.exec(id) ?? [];
  return time === undefined ? undefined : parseInt(time, 36);
}
