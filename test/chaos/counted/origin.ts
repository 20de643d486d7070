import type { SluiceEvent } from "../../../core/event.ts";
import { upserted } from "../../../core/event.ts";
import { version } from "../../../core/version.ts";

/** Change `n` of an origin without end, computed from its number alone: nothing has to be remembered to check it. */
export interface CountedChange {
  readonly n: number;
  readonly key: string;
  /** The target refuses it for good. */
  readonly isPoison: boolean;
}

const hotKeys = 200;
const poisonOneIn = 1_000;
const origin = "/counted";

/**
 * Every other change is of one of `hotKeys` keys and goes as a message, which no stage merges with a later one: each
 * version is seen at the sink. The others are records of their own. One in `poisonOneIn` can never be written.
 */
export function changeAt(seed: number, n: number): CountedChange {
  const mixed = mix(seed, n);
  if (mixed % 2 === 0) return { n, key: `hot-${(mixed >>> 1) % hotKeys}`, isPoison: false };
  return { n, key: `one-${n}`, isPoison: (mixed >>> 1) % (poisonOneIn / 2) === 0 };
}

export function eventAt(seed: number, n: number): SluiceEvent {
  const { key } = changeAt(seed, n);
  const time = "2026-01-01T00:00:00Z";
  if (key.startsWith("hot-"))
    return {
      specversion: "1.0",
      id: String(n),
      source: origin,
      type: "test.counted",
      partitionkey: key,
      data: { n },
    };
  return upserted({
    source: origin,
    key,
    subject: key,
    version: version({ epoch: 1, position: BigInt(n), rank: 1, tail: 0 }),
    time,
    op: "create",
    after: { n },
    meta: {},
  });
}

/** The number of the change that an event of `eventAt` is about. */
export function numberOf({ data }: SluiceEvent): number {
  const { n, after } = data as { readonly n?: number; readonly after?: { readonly n: number } };
  return n ?? after?.n ?? Number.NaN;
}

function mix(seed: number, n: number): number {
  let mixed = Math.imul(n ^ seed, 0x9e3779b1) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0;
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
