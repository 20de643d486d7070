/**
 * Paths that changed, each held back until it has been quiet for `settleMs`. A path that is never
 * quiet (a log that is appended to) is let through every 20 `settleMs` all the same.
 */
export interface Settling {
  readonly touch: (path: string) => void;
  /** Takes up to `limit` paths that are quiet by now. */
  readonly take: (limit: number) => readonly string[];
  /** Milliseconds until the next path is quiet; Infinity when none waits. */
  readonly dueInMs: () => number;
  readonly has: (path: string) => boolean;
  readonly isEmpty: () => boolean;
}

export function settling(settleMs: number, now = () => performance.now()): Settling {
  const waiting = new Map<string, { readonly due: number; readonly latest: number }>();
  return {
    touch: (path) => {
      const latest = waiting.get(path)?.latest ?? now() + 20 * settleMs;
      waiting.set(path, { due: Math.min(now() + settleMs, latest), latest });
    },
    take: (limit) => {
      const taken: string[] = [];
      for (const [path, { due }] of waiting) {
        if (taken.length === limit) break;
        if (due <= now()) taken.push(path);
      }
      for (const path of taken) waiting.delete(path);
      return taken;
    },
    dueInMs: () => {
      let first = Infinity;
      for (const { due } of waiting.values()) first = Math.min(first, due);
      return Math.max(0, first - now());
    },
    has: (path) => waiting.has(path),
    isEmpty: () => waiting.size === 0,
  };
}
