import type { SluiceEvent } from "sluice";
import { crowded, unavailable } from "./refusal.ts";

/** One request's events: they go into the topic together. */
interface Entry {
  readonly events: readonly SluiceEvent[];
  readonly bytes: number;
  readonly settle: (refusal?: Error) => void;
}

/** Where requests wait until their events are durable. */
export interface Desk {
  /**
   * Resolves when the events are durable. Throws `Refusal` 429 when there is no place, 503 when it takes too
   * long or the desk closes. On abort (the caller has gone) events that are not on their way yet are dropped.
   */
  readonly put: (
    events: readonly SluiceEvent[],
    bytes: number,
    run: { readonly signal: AbortSignal },
  ) => Promise<void>;
  /** The next requests, in order, as many as one batch may hold; they are on their way from now on. */
  readonly take: () => readonly SluiceEvent[];
  /** What was taken is durable. */
  readonly taken: () => void;
  readonly close: () => void;
}

export const maxBatchEvents = 1_000;
const maxBatchBytes = 2 ** 20;

export function openDesk(options: {
  readonly maxQueued: number;
  readonly maxQueueMs: number;
  /** Something was put. */
  readonly ring: () => void;
}): Desk {
  const { maxQueued, maxQueueMs, ring } = options;
  const waiting = new Set<Entry>();
  let onTheWay: readonly Entry[] = [];
  let busySince: number | undefined;
  let isClosed = false;

  const late = () =>
    unavailable(`the topic took nothing for ${maxQueueMs / 1_000} s: its consumers are behind.`);

  return {
    put: (events, bytes, { signal }) =>
      new Promise((resolve, reject) => {
        if (isClosed) throw unavailable("the source is stopping.");
        if (signal.aborted) throw signal.reason;
        if (busySince !== undefined && performance.now() - busySince > maxQueueMs) throw late();
        if (waiting.size + onTheWay.length >= maxQueued)
          throw crowded(`${maxQueued} requests are on their way already.`);
        const settle = (refusal?: Error) => {
          clearTimeout(timer);
          signal.removeEventListener("abort", leave);
          waiting.delete(entry);
          if (refusal) reject(refusal);
          else resolve();
        };
        const entry: Entry = { events, bytes, settle };
        const timer = setTimeout(() => settle(late()), maxQueueMs).unref();
        const leave = () => settle(signal.reason as Error);
        signal.addEventListener("abort", leave, { once: true });
        waiting.add(entry);
        ring();
      }),

    take: () => {
      const some: Entry[] = [];
      let count = 0;
      let bytes = 0;
      for (const entry of waiting) {
        count += entry.events.length;
        bytes += entry.bytes;
        if (some.length > 0 && (count > maxBatchEvents || bytes > maxBatchBytes)) break;
        some.push(entry);
      }
      for (const entry of some) waiting.delete(entry);
      onTheWay = some;
      busySince = some.length > 0 ? performance.now() : undefined;
      return some.flatMap(({ events }) => events);
    },

    taken: () => {
      for (const { settle } of onTheWay) settle();
      onTheWay = [];
      busySince = undefined;
    },

    close: () => {
      isClosed = true;
      for (const { settle } of [...onTheWay, ...waiting])
        settle(unavailable("the source is stopping."));
      onTheWay = [];
    },
  };
}
