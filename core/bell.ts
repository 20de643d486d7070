/** Lets a loop sleep until something happens. One waits at a time. */
export interface Bell {
  readonly ring: () => void;
  /** Resolves at the next ring (or at once, if it rang since the last wait), after `ms`, or on abort. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

const longestMs = 2 ** 31 - 1;

/** A bell that nobody has rung yet. */
export function bell(): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      rung = true;
      wake?.();
    },
    wait: (ms, signal) =>
      new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          wake = undefined;
          rung = false;
          resolve();
        };
        const timer = setTimeout(done, Math.min(ms, longestMs));
        if (rung || signal.aborted) return done();
        signal.addEventListener("abort", done, { once: true });
        wake = done;
      }),
  };
}
