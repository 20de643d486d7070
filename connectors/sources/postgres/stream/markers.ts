import { randomUUID } from "node:crypto";
import type { SluiceEvent, StateWrite } from "sluice";
import type { Session } from "../session.ts";

/** Where a marker came back in the stream. */
export interface MarkerPlace {
  readonly lsn: bigint;
  /** RFC 3339. */
  readonly time: string;
}

/** What is to be published together at a marker's place. */
export interface Group {
  readonly events?: readonly SluiceEvent[];
  readonly bytes?: number;
  /** Hold once the events do. */
  readonly writes?: readonly StateWrite[];
  readonly completes?: readonly string[];
}

/** Called when the stream reaches the marker; its groups are published there, in order. */
export type AtMarker<T> = (place: MarkerPlace) => Generator<Group, T>;

/** Finds one's place in the stream: a message that we write, and that comes back in its order. */
export interface Markers {
  readonly prefix: string;
  /**
   * Writes a marker, committed so that it is flushed at once. Resolves with what `handle` returned,
   * once the stream has reached the marker and its groups are handed over; rejects on abort.
   */
  readonly reach: <T>(session: Session, handle: AtMarker<T>, signal: AbortSignal) => Promise<T>;
  /** What to do at a marker, once; nothing for the markers of an earlier run. */
  readonly reached: (content: string) => AtMarker<void> | undefined;
}

/** What every message of ours begins with: heartbeats, and the markers of any slot. */
export const ownMessages = "sluice:";

export function openMarkers(slot: string): Markers {
  const prefix = `${ownMessages}${slot}`;
  const waiting = new Map<string, AtMarker<void>>();
  return {
    prefix,
    reach: async (session, handle, signal) => {
      const id = randomUUID();
      let stop: () => void = () => undefined;
      try {
        return await new Promise((resolve, reject) => {
          stop = () => reject(signal.reason as Error);
          signal.addEventListener("abort", stop, { once: true });
          waiting.set(id, function* (place) {
            resolve(yield* handle(place));
          });
          session.query("SELECT pg_logical_emit_message(true, $1, $2)", [prefix, id]).catch(reject);
        });
      } finally {
        signal.removeEventListener("abort", stop);
        waiting.delete(id);
      }
    },
    reached: (content) => {
      const handle = waiting.get(content);
      waiting.delete(content);
      return handle;
    },
  };
}
