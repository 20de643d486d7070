/** How far along a snapshot is. Left out where it cannot be known. */
export interface Pace {
  /** 0–100, rounded down: 100 is all. */
  readonly percent?: number;
  /** Milliseconds until the end, at the speed of the last half minute. */
  readonly etaMs?: number;
}

export interface PaceMeter {
  readonly note: (progress: { readonly done?: number; readonly total?: number }) => void;
  readonly read: () => Pace;
}

const windowMs = 30_000;
const sampleEveryMs = 1_000;
/** Speed is not told from less. */
const leastMs = 3_000;

/** Tells percent and time left from what a source says it has done. What is done becoming less begins anew. */
export function paceMeter(now = () => performance.now()): PaceMeter {
  let samples: { readonly at: number; readonly done: number }[] = [];
  let last: { readonly done: number; readonly total: number | undefined } | undefined;

  return {
    note: ({ done, total }) => {
      if (done === undefined || (last && done < last.done)) samples = [];
      last = done === undefined ? undefined : { done, total };
      if (done === undefined) return;
      const at = now();
      const newest = samples.at(-1);
      if (newest === undefined || at - newest.at >= sampleEveryMs) samples.push({ at, done });
      while (samples[1] && at - samples[1].at >= windowMs) samples.shift();
    },
    read: () => {
      // More than the total: it was an estimate, and says nothing any more.
      if (last?.total === undefined || last.total <= 0 || last.done > last.total) return {};
      const percent = Math.floor((100 * last.done) / last.total);
      const left = last.total - last.done;
      const [first] = samples;
      // Against now, not the last sample: while nothing is done, the end moves away.
      const ms = first ? now() - first.at : 0;
      const speed = first && ms >= leastMs ? (last.done - first.done) / ms : 0;
      return left > 0 && speed > 0 ? { percent, etaMs: Math.ceil(left / speed) } : { percent };
    },
  };
}
