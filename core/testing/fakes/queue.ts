import type { Handle } from "../../queue/queue.ts";
import { spread } from "../../queue/partition.ts";
import { checkEvents } from "../../check-event.ts";
import type { SluiceEvent } from "../../event.ts";
import { writeRun } from "./context.ts";

/** A topic with one subscription, in memory, with the order and the repeats of the real queues. */
export interface FakeQueue {
  /** Shares events out to the partitions by key, each a batch of its own; a clear goes to all of them. */
  readonly publish: (events: readonly SluiceEvent[]) => void;
  /**
   * Hands over what waits: partitions at once, in each one batch after the other. What `handle` throws is
   * thrown once all partitions have stopped; that batch stays first, and comes again as `redelivered`.
   */
  readonly drain: (handle: Handle, run?: { readonly signal: AbortSignal }) => Promise<void>;
  /** Events that wait. */
  readonly waiting: () => number;
}

interface Batch {
  readonly events: readonly SluiceEvent[];
  redelivered: boolean;
}

/** An empty topic of so many partitions. */
export function queue({ partitions = 4 } = {}): FakeQueue {
  const shelves = Array.from({ length: partitions }, (): Batch[] => []);
  return {
    publish: (events) => {
      for (const [partition, share] of spread(checkEvents(events), partitions))
        shelves[partition]?.push({ events: share, redelivered: false });
    },
    drain: async (handle, { signal } = { signal: new AbortController().signal }) => {
      const drained = await Promise.allSettled(
        shelves.map(async (shelf) => {
          for (let [batch] = shelf; batch; [batch] = shelf) {
            const { events, redelivered } = batch;
            batch.redelivered = true;
            await handle(events, writeRun({ signal, redelivered }));
            shelf.shift();
          }
        }),
      );
      for (const one of drained) if (one.status === "rejected") throw one.reason;
    },
    waiting: () => shelves.flat().reduce((sum, { events }) => sum + events.length, 0),
  };
}
