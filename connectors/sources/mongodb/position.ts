import { z } from "sluice";
import { timeOf, type Token } from "./token.ts";

/** Where a stream goes on: behind an event, or at a cluster time, which is included. */
export type Position = { readonly token: Token } | { readonly time: bigint };

const hexTime = z.string().regex(/^[0-9a-f]{16}$/);

/** As the checkpoint keeps it. */
export const position = z.union([
  z.strictObject({ token: z.string(), typeBits: z.string().optional() }),
  z.strictObject({ time: hexTime }),
]);

export type StoredPosition = z.output<typeof position>;

export function toStored(one: Position): StoredPosition {
  if ("time" in one) return { time: hexOf(one.time) };
  const { data, typeBits } = one.token;
  return typeBits === undefined ? { token: data } : { token: data, typeBits };
}

export function fromStored(stored: StoredPosition): Position {
  if ("time" in stored) return { time: timeIn(stored.time) };
  return { token: { data: stored.token, typeBits: stored.typeBits } };
}

/** Throws `PositionLostError` where a token is none. */
export function timeAt(one: Position): bigint {
  return "time" in one ? one.time : timeOf(one.token);
}

/** 16 hex digits: sorts as the time does. */
export function hexOf(time: bigint): string {
  return time.toString(16).padStart(16, "0");
}

export function timeIn(hex: string): bigint {
  return BigInt(`0x${hex}`);
}
