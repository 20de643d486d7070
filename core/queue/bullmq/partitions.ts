import type { TopicsOptions } from "../options.ts";
import { partitionsChanged } from "../partitions-changed.ts";
import type { QueuePlace } from "./names.ts";
import type { PartitionQueue } from "./queues.ts";
import type { Registry, TopicRecord } from "./registry.ts";

/** Answers a topic's number of partitions. It places data, so it changes only while none waits; else `ConfigError` `queue.partitions-changed`. */
export type Partitions = (topic: string, record: TopicRecord) => Promise<number>;

export function openPartitions(
  options: Pick<TopicsOptions, "project" | "settings"> & {
    readonly registry: Registry;
    readonly queueOf: (place: QueuePlace) => Promise<PartitionQueue>;
  },
): Partitions {
  const { project, settings, registry, queueOf } = options;

  const isEmpty = async (topic: string, { partitions = 0, subscriptions }: TopicRecord) => {
    for (const [name, generation] of subscriptions)
      for (let partition = 0; partition < partitions; partition++) {
        const queue = await queueOf({ project, topic, name, generation, partition });
        if ((await queue.backlog()).jobs > 0) return false;
      }
    return true;
  };

  return async (topic, record) => {
    const { partitions } = settings(topic);
    const before = record.partitions;
    if (before === partitions) return partitions;
    if (before !== undefined && !(await isEmpty(topic, record)))
      throw partitionsChanged(topic, before, partitions);
    await registry.repartition(topic, before, partitions);
    return partitions;
  };
}
