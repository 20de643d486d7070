import type { Hint } from "./hints.ts";

/**
 * How far each key was looked at, by the sequencers of the hints that led there. A hint that is not
 * newer, late or told twice, needs no look: the last one saw what it tells of.
 */
export interface Sequencers {
  readonly isOld: (hint: Hint) => boolean;
  /** A look that began after these hints is over. */
  readonly looked: (hints: readonly Hint[]) => void;
}

/** Forgotten after so many others: then a hint costs a look. */
const maxKeys = 10_000;

export function sequencers(): Sequencers {
  const last = new Map<string, string>();
  return {
    isOld: ({ key, sequencer }) => {
      const known = last.get(key);
      return known !== undefined && sequencer !== undefined && !isAfter(sequencer, known);
    },
    looked: (hints) => {
      for (const { key, sequencer } of hints) {
        const known = last.get(key);
        if (sequencer === undefined || (known !== undefined && !isAfter(sequencer, known)))
          continue;
        last.delete(key);
        last.set(key, sequencer);
        const [oldest] = last.keys();
        if (last.size > maxKeys && oldest !== undefined) last.delete(oldest);
      }
    },
  };
}

/** Hex numbers, padded on the right to equal length, as S3 says they are to be compared. */
function isAfter(a: string, b: string): boolean {
  const length = Math.max(a.length, b.length);
  const [x, y] = [a, b].map((text) => text.toUpperCase().padEnd(length, "0"));
  return (x ?? "") > (y ?? "");
}
