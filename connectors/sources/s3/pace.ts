/** How many requests go side by side: halved when told to slow down, then more and more again. */
export interface Pace {
  readonly atOnce: () => number;
  readonly slower: () => void;
  readonly succeeded: () => void;
}

/** What was on its way when we slowed down says nothing new. */
const sameMs = 1_000;

export function pace(most: number): Pace {
  let atOnce = most;
  let slowedAt = -Infinity;
  return {
    atOnce: () => Math.max(1, Math.floor(atOnce)),
    slower: () => {
      if (performance.now() - slowedAt < sameMs) return;
      slowedAt = performance.now();
      atOnce = Math.max(1, atOnce / 2);
    },
    succeeded: () => {
      atOnce = Math.min(most, atOnce + 1 / atOnce);
    },
  };
}
