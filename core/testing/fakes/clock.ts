/** Time that passes only when a test says so, for what takes `now` and `sleep` as parameters. */
export interface FakeClock {
  /** Milliseconds. */
  readonly now: () => number;
  /** Resolves once so much has passed; rejects on abort. */
  readonly sleep: (
    ms: number,
    value?: undefined,
    run?: { readonly signal?: AbortSignal },
  ) => Promise<void>;
  /** Lets time pass: wakes who sleeps, in the order of waking, each with its own time as now. */
  readonly advance: (ms: number) => Promise<void>;
}

/** A clock that begins at `startMs`. */
export function clock(startMs = 0): FakeClock {
  let now = startMs;
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();
  return {
    now: () => now,
    sleep: (ms, _, { signal } = {}) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const leave = () => {
          sleepers.delete(sleeper);
          reject(signal?.reason as Error);
        };
        const wake = () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", leave);
          resolve();
        };
        const sleeper = { until: now + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", leave, { once: true });
      }),
    advance: async (ms) => {
      const end = now + ms;
      for (;;) {
        const [next] = [...sleepers]
          .filter(({ until }) => until <= end)
          .toSorted((one, other) => one.until - other.until);
        if (!next) break;
        now = next.until;
        next.wake();
        // Who was woken may sleep again before that time.
        await new Promise(setImmediate);
      }
      now = end;
    },
  };
}
