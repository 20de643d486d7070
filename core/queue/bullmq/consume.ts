import { setMaxListeners } from "node:events";
import type { RedisClient } from "../../state/redis/client.ts";
import { pause, sharePartitions } from "../assign.ts";
import type { TopicsOptions } from "../options.ts";
import { partitionsChanged } from "../partitions-changed.ts";
import type { Handle } from "../queue.ts";
import { insist } from "./add.ts";
import { queueNames, type QueuePlace } from "./names.ts";
import type { Partitions } from "./partitions.ts";
import type { PartitionQueue } from "./queues.ts";
import type { Refusals } from "../refusals.ts";
import type { Registry, TopicRecord } from "./registry.ts";
import type { CurrentRun } from "./server-run.ts";
import { workPartition } from "./work.ts";

const pollMs = 500;

export type Consume = (
  topic: string,
  name: string,
  handle: Handle,
  signal: AbortSignal,
) => Promise<void>;

export function openConsumer(
  options: TopicsOptions & {
    readonly client: RedisClient;
    readonly registry: Registry;
    readonly queueOf: (place: QueuePlace) => Promise<PartitionQueue>;
    readonly partitions: Partitions;
    readonly currentRun: CurrentRun;
    readonly refusals: Refusals;
    readonly abandon: AbortSignal;
  },
): Consume {
  const { project, scope, leaseMs, writeTimeoutMs, log } = options;
  const { client, registry, queueOf, partitions, currentRun, refusals, abandon } = options;

  /** Until the subscription is another one, or none, or its topic has another number of partitions, which is answered. */
  const changed = async (
    { topic, name, generation }: Omit<QueuePlace, "project" | "partition">,
    count: number,
    signal: AbortSignal,
  ): Promise<number | undefined> => {
    while (!signal.aborted) {
      await pause(pollMs, signal);
      try {
        const { subscriptions, partitions: now } = await registry.read(topic);
        if (subscriptions.get(name) !== generation) return;
        if (now !== undefined && now !== count) return now;
      } catch (error) {
        log.debug({ topic, name, error }, "registry does not answer");
      }
    }
  };

  /** One life of a subscription. */
  const consumeOne = async (
    { topic, name, generation }: Omit<QueuePlace, "project" | "partition">,
    record: TopicRecord,
    handle: Handle,
    signal: AbortSignal,
  ) => {
    const count = await partitions(topic, record);
    const over = new AbortController();
    const ended = AbortSignal.any([signal, over.signal]);
    setMaxListeners(0, ended); // one a partition
    let now: number | undefined;
    const watch = async () => {
      now = await changed({ topic, name, generation }, count, ended);
      over.abort();
    };
    void watch();
    await sharePartitions({
      scope: scope(name),
      topic,
      partitions: count,
      leaseMs,
      refusals,
      log,
      signal: ended,
      work: async (partition, tenure) => {
        const place = { project, topic, name, generation, partition };
        const queue = await queueOf(place);
        await queue.limitToOne();
        await queue.sweep();
        await workPartition({
          client,
          names: queueNames(place),
          tenure,
          handle,
          currentRun,
          leaseMs,
          writeTimeoutMs,
          refusals,
          abandon,
          log,
        });
      },
    });
    if (now !== undefined) throw partitionsChanged(topic, now, count);
  };

  return async (topic, name, handle, signal) => {
    let wasSubscribed = false;
    let mayDetach = false;
    while (!signal.aborted)
      try {
        const record = await insist(() => registry.read(topic), { signal, refusals });
        const generation = record.subscriptions.get(name);
        if (generation === undefined) {
          // Nobody ended it: Redis lost it, with some or all of its data.
          const isLost = wasSubscribed && !record.removed.has(name) && !record.detached.has(name);
          if (isLost) {
            log.error(
              { topic, name },
              "redis lost the subscription: subscribed anew, what waited is gone",
            );
            await registry.subscribe({ topic, name, ...(mayDetach && { whenFull: "detach" }) });
          } else await pause(pollMs, signal);
        } else {
          wasSubscribed = true;
          mayDetach = record.detaching.has(name);
          await consumeOne({ topic, name, generation }, record, handle, signal);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
  };
}
