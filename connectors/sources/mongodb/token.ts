import { PositionLostError } from "sluice";

/**
 * A resume token, as the checkpoint keeps it. Opaque but for what is read here: after a type byte it begins
 * with the cluster time, so that its text sorts as events do.
 */
export interface Token {
  /** Hex digits. */
  readonly data: string;
  /** Base64. The server needs it to resume where a key is a long, a double or a decimal. */
  readonly typeBits?: string | undefined;
}

const shape = /^82[0-9A-F]{16}/i;
const timeStart = 2;
const timeEnd = 18;
/**
 * Behind the time: two bytes of token version, which differs with the pipeline and must not count, then the
 * kind of token and the place inside a transaction. What follows names the record.
 */
const placeStart = 22;
const placeEnd = 40;

/** The cluster time in a token: seconds in the upper 32 bits, increment in the lower. Throws when it is none. */
export function timeOf({ data }: Token): bigint {
  if (!shape.test(data))
    throw new PositionLostError(
      `mongodb: ${JSON.stringify(data.slice(0, 40))} is no resume token.`,
      {
        code: "mongodb.token-invalid",
        fix: "Is the checkpoint another connector's? Reset it: the collections are read again.",
      },
    );
  return BigInt(`0x${data.slice(timeStart, timeEnd)}`);
}

/** What orders the changes of one record at one cluster time: its place inside a transaction. */
export function placeIn(data: string): string {
  return data.slice(placeStart, placeEnd);
}

/** `seconds:increment`. */
export function timeText(time: bigint): string {
  return `${time >> 32n}:${time & 0xffff_ffffn}`;
}

export function secondsOf(time: bigint): number {
  return Number(time >> 32n);
}

/** RFC 3339, to the second: cluster time knows no more. */
export function instantOf(time: bigint): string {
  return new Date(secondsOf(time) * 1_000).toISOString();
}
