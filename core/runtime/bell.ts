/** Lets a loop sleep until something happens. One waits at a time. */
export interface Bell {
  readonly ring: () => void;
  /** Resolves at the next ring (at once, if it rang since the last wait), after `ms`, or on abort. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export function bell(): Bell {
  let hasRung = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      hasRung = true;
      wake?.();
    },
    wait: (ms, signal) =>
      new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          wake = undefined;
          hasRung = false;
          resolve();
        };
        const timer = setTimeout(done, ms);
        if (hasRung || signal.aborted) return done();
        signal.addEventListener("abort", done, { once: true });
        wake = done;
      }),
  };
}
