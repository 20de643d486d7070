import { upserted, type SluiceEvent } from "../../core/event.ts";
import { version } from "../../core/version.ts";

const keys = 10_000;
const bodies = 512;
const bodyLength = 560;

/** Events of about 1,000 bytes of JSON: random bodies, random keys, and for each key a sequence 1, 2, 3, … */
export function openLoad(seed: number): {
  readonly next: (count: number) => readonly SluiceEvent[];
  readonly made: () => number;
} {
  const random = randomOf(seed);
  const letters = "abcdefghijklmnopqrstuvwxyz     ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  const texts = Array.from({ length: bodies }, () =>
    Array.from({ length: bodyLength }, () => letters[Math.floor(random() * letters.length)]).join(
      "",
    ),
  );
  const sequences = new Int32Array(keys);
  let position = 0n;
  const one = (): SluiceEvent => {
    const key = Math.floor(random() * keys);
    const sequence = (sequences[key] ?? 0) + 1;
    sequences[key] = sequence;
    return upserted({
      source: "/bench/shop/public.articles",
      key: { id: key },
      subject: `["${key}"]`,
      version: version({ epoch: 1, position: ++position, rank: 1, tail: 0 }),
      time: "2026-01-01T00:00:00.000Z",
      op: "update",
      after: { id: key, sequence, title: "An article", body: texts[sequence % bodies] ?? "" },
      meta: { lsn: position.toString(16), txid: sequence },
    });
  };
  return {
    next: (count) => Array.from({ length: count }, one),
    made: () => Number(position),
  };
}

/** Counts events where they are consumed, and holds every key's sequence to 1, 2, 3, … */
export function openCheck(): {
  readonly see: (events: readonly SluiceEvent[]) => void;
  readonly seen: () => number;
  readonly violations: () => number;
} {
  const sequences = new Int32Array(keys);
  let seen = 0;
  let violations = 0;
  return {
    see: (events) => {
      seen += events.length;
      for (const { data } of events) {
        const { id, sequence } = (data as { after: { id: number; sequence: number } }).after;
        if (sequence !== (sequences[id] ?? 0) + 1) violations++;
        sequences[id] = sequence;
      }
    },
    seen: () => seen,
    violations: () => violations,
  };
}

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
