import { changeAt } from "./origin.ts";

export interface Tally {
  readonly published: number;
  readonly handled: number;
  /** Neither handled nor a dead letter. */
  readonly lost: readonly number[];
  /** First handled after a higher version of their key was. */
  readonly orderViolations: readonly string[];
  /** Handled once more, which is allowed. */
  readonly repeats: number;
  readonly poison: number;
  /** Poison without a letter, and letters of what is none. */
  readonly wrongLetters: readonly number[];
  /** Hot keys whose last value at the target is not the last one at the origin. */
  readonly wrongAtEnd: readonly string[];
}

/** What a target has seen of the origin `seed`, in the order it came. */
export interface Ledger {
  readonly handle: (n: number) => void;
  readonly handled: () => number;
  /** How many of the changes up to `end` are neither handled nor poison. */
  readonly missing: (end: number) => number;
  readonly tally: (end: number, letters: ReadonlySet<number>) => Tally;
}

export function openLedger(seed: number): Ledger {
  let seen = new Uint8Array(1 << 20);
  let handled = 0;
  let repeats = 0;
  const violations: string[] = [];
  const highest = new Map<string, number>();
  const state = new Map<string, number>();

  const isSeen = (n: number) => seen[n] === 1;
  const upTo = (end: number) => Array.from({ length: end }, (_, at) => at + 1);
  const grown = (size: number) => {
    const larger = new Uint8Array(Math.max(size, seen.length * 2));
    larger.set(seen);
    return larger;
  };

  return {
    handle: (n) => {
      if (n >= seen.length) seen = grown(n + 1);
      const { key } = changeAt(seed, n);
      if (key.startsWith("hot-")) state.set(key, Math.max(n, state.get(key) ?? 0));
      if (isSeen(n)) {
        repeats += 1;
        return;
      }
      seen[n] = 1;
      handled += 1;
      if (!key.startsWith("hot-")) return;
      const before = highest.get(key) ?? 0;
      if (n < before) violations.push(`${key}: ${n} was first handled after ${before}`);
      highest.set(key, Math.max(n, before));
    },
    handled: () => handled,
    missing: (end) => upTo(end).filter((n) => !isSeen(n) && !changeAt(seed, n).isPoison).length,
    tally: (end, letters) => {
      const lost: number[] = [];
      const wrongLetters: number[] = [...letters].filter((n) => !changeAt(seed, n).isPoison);
      const last = new Map<string, number>();
      let poison = 0;
      for (const n of upTo(end)) {
        const { key, isPoison } = changeAt(seed, n);
        if (isPoison) poison += 1;
        if (isPoison && !letters.has(n)) wrongLetters.push(n);
        if (!isPoison && !isSeen(n) && !letters.has(n)) lost.push(n);
        if (key.startsWith("hot-")) last.set(key, n);
      }
      const wrongAtEnd = [...last]
        .filter(([key, n]) => state.get(key) !== n)
        .map(([key, n]) => `${key}: ${state.get(key)}, not ${n}`);
      return {
        published: end,
        handled,
        lost,
        orderViolations: violations,
        repeats,
        poison,
        wrongLetters,
        wrongAtEnd,
      };
    },
  };
}
