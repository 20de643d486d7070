import type { Json, SluiceEvent } from "../../event.ts";
import type { Log } from "../../connector.ts";
import type { StateStore } from "../../state/state.ts";
import { payloadOf, type Packed } from "./pack.ts";

/**
 * Events over 256 KiB wait in the state of the connector that consumes them, outside the queue.
 *
 * They belong to one job of one subscription: `d/TOPIC/PARTITION/JOB/N`, and `di/TOPIC/PARTITION/JOB`
 * says how many and since when. So nothing is counted: the payloads are written before the job is
 * added and removed after it is completed, and what a crash leaves between is found by `sweep`.
 */
export interface Payloads {
  readonly store: (job: Packed) => Promise<void>;
  /** The events of a job as they were published. */
  readonly resolve: (
    jobId: string,
    events: readonly SluiceEvent[],
  ) => Promise<readonly SluiceEvent[]>;
  readonly remove: (jobId: string) => Promise<void>;
  /** Removes what is older than a day and belongs to no unfinished job. */
  readonly sweep: (isUnfinished: (jobId: string) => Promise<boolean>) => Promise<void>;
}

const dayMs = 24 * 60 * 60 * 1_000;

export function openPayloads(options: {
  readonly state: StateStore;
  readonly topic: string;
  readonly partition: number;
  readonly log: Log;
}): Payloads {
  const { state, topic, partition, log } = options;
  const index = `di/${topic}/${partition}/`;
  const keyOf = (jobId: string, place: number) => `d/${topic}/${partition}/${jobId}/${place}`;

  const remove = async (jobId: string) => {
    const [entry] = await state.get([index + jobId]);
    const count = (entry?.value as { count: number } | undefined)?.count ?? 0;
    const keys = Array.from({ length: count }, (_, at) => keyOf(jobId, at + 1));
    await state.all([...keys, index + jobId].map((key) => ({ key, value: undefined })));
  };

  return {
    store: async ({ id, payloads }) => {
      if (payloads.length === 0) return;
      await state.all([
        { key: index + id, value: { count: payloads.length, at: Date.now() } },
        ...payloads.map((event, at) => ({
          key: keyOf(id, at + 1),
          value: event as unknown as Json,
        })),
      ]);
    },
    resolve: async (jobId, events) => {
      const places = events.map(payloadOf).filter((place) => place !== undefined);
      if (places.length === 0) return events;
      const found = await state.get(places.map((place) => keyOf(jobId, place)));
      return events.flatMap((event): readonly SluiceEvent[] => {
        const place = payloadOf(event);
        if (place === undefined) return [event];
        const entry = found[places.indexOf(place)];
        if (entry) return [entry.value as unknown as SluiceEvent];
        // Payloads outlive their job, so the state has lost it. Holding would stop the partition for ever.
        log.error(
          { topic, partition, id: event.id, source: event.source },
          "event lost: state no longer has its data",
        );
        return [];
      });
    },
    remove,
    sweep: async (isUnfinished) => {
      for await (const page of state.scan(index))
        for (const { key, value } of page) {
          const jobId = key.slice(index.length);
          const { at } = value as { at: number };
          if (Date.now() - at > dayMs && !(await isUnfinished(jobId))) await remove(jobId);
        }
    },
  };
}

/** Ends with the subscription: all payloads of a topic. */
export async function removePayloads(state: StateStore, topic: string): Promise<void> {
  for (const prefix of [`d/${topic}/`, `di/${topic}/`])
    for await (const page of state.scan(prefix, { pageSize: 10 }))
      await state.each(page.map(({ key }) => ({ key, value: undefined })));
}
