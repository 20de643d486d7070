import type { SnapshotOrder } from "./runs.ts";

/** The snapshots to take, one after the other. */
export interface Orders {
  readonly add: (order: SnapshotOrder) => void;
  /** Waits for one. */
  readonly next: (signal: AbortSignal) => Promise<SnapshotOrder>;
  /** A table waits for a run for everybody that has not begun. */
  readonly has: (table: string) => boolean;
  readonly isEmpty: () => boolean;
}

export function openOrders(): Orders {
  const waiting: SnapshotOrder[] = [];
  let wake: () => void = () => undefined;
  return {
    add: (order) => {
      waiting.push(order);
      wake();
    },
    has: (table) =>
      waiting.some(({ audience, tables }) => audience === undefined && tables.includes(table)),
    isEmpty: () => waiting.length === 0,
    next: async (signal) => {
      for (;;) {
        signal.throwIfAborted();
        const order = waiting.shift();
        if (order) return order;
        await new Promise<void>((resolve, reject) => {
          const abort = () => reject(signal.reason as Error);
          signal.addEventListener("abort", abort, { once: true });
          wake = () => {
            signal.removeEventListener("abort", abort);
            resolve();
          };
        });
      }
    },
  };
}
