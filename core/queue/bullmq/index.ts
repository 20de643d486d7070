import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { checkRedis } from "../../state/redis/check.ts";
import { connectRedis } from "../../state/redis/connect.ts";
import { countConsumers } from "../assign.ts";
import type { TopicsOptions } from "../options.ts";
import type { Topics } from "../queue.ts";
import { openRefusals } from "../refusals.ts";
import { orAbort } from "./add.ts";
import { openConsumer } from "./consume.ts";
import { durabilityFindings, durabilityOf, warnOfEviction } from "./durability.ts";
import { openPartitions } from "./partitions.ts";
import { openPublisher } from "./publish.ts";
import { openQueues } from "./queues.ts";
import { openRegistry } from "./registry.ts";
import { openServerRuns } from "./server-run.ts";
import { openTaps } from "./tap.ts";

const settleMs = 5_000;

/**
 * Topics as BullMQ queues on Redis: one a subscription and partition, one job in flight in each, a job
 * the part of a yield that falls to a partition. Any number of processes on any machines share them.
 */
export async function openBullmqTopics(
  options: TopicsOptions & { readonly url: string },
): Promise<Topics> {
  const { project, scope, log } = options;
  const redis = await connectRedis(options);
  const { client } = redis;
  void warnOfEviction(redis, log);

  const refusals = openRefusals();
  const registry = openRegistry(redis, project);
  const queueOf = openQueues(redis, log);
  const partitions = openPartitions({ ...options, registry, queueOf });
  const closing = new AbortController();
  const abandon = new AbortController();
  setMaxListeners(0, closing.signal, abandon.signal); // whatever runs waits for them
  const taps = openTaps({ client, project, registry, log });
  const publish = openPublisher({ ...options, registry, queueOf, partitions, taps, refusals });
  const currentRun = openServerRuns(redis, log);
  const consume = openConsumer({
    ...options,
    client,
    registry,
    queueOf,
    partitions,
    currentRun,
    refusals,
    abandon: abandon.signal,
  });
  const running = new Set<Promise<unknown>>();

  /** `close` ends it, and waits for it. Not `AbortSignal.any`: on Node 20 each call leaves something behind. */
  const tracked = <T>(
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const either = new AbortController();
    setMaxListeners(0, either.signal); // every partition may wait on it
    const abort = () =>
      either.abort(signal.aborted ? signal.reason : (closing.signal.reason as Error));
    for (const cause of [signal, closing.signal])
      if (cause.aborted) abort();
      else cause.addEventListener("abort", abort);
    const result = run(either.signal);
    const settled = result.catch(() => {}); // the caller has the error
    running.add(settled);
    void settled.finally(() => {
      running.delete(settled);
      for (const cause of [signal, closing.signal]) cause.removeEventListener("abort", abort);
    });
    return result;
  };

  const publishIn =
    (serverRun: string): Topics["publish"] =>
    (topic, events, { signal, fence }) =>
      tracked(signal, (signal) => {
        const run = { signal, serverRun, ...(fence && { fence }) };
        return orAbort(publish(topic, events, run), signal);
      });

  const topics: Topics = {
    durability: () => durabilityOf(redis),
    probe: async () => {
      refusals.check();
      await redis.probe();
    },
    check: async () => [
      ...(await checkRedis(redis, options.url)),
      ...durabilityFindings(await durabilityOf(redis)),
    ],
    publish: publishIn(""),
    session: async () => {
      const { id, over } = await currentRun();
      return { topics: { ...topics, publish: publishIn(id) }, over };
    },
    settled: async ({ signal }) => {
      if ((await durabilityOf(redis)) === "second") await sleep(settleMs, undefined, { signal });
    },
    subscribe: async (subscription) => {
      const { topic } = subscription;
      await partitions(topic, await registry.read(topic));
      return registry.subscribe(subscription);
    },
    unsubscribe: async (topic, name) => {
      const record = await registry.read(topic);
      const generation = await registry.unsubscribe(topic, name);
      if (generation === undefined) return;
      for (let partition = 0; partition < (record.partitions ?? 0); partition++)
        await (await queueOf({ project, topic, name, generation, partition })).obliterate();
    },
    subscriptions: async (topic) => {
      const topics = topic === undefined ? await registry.topics() : [topic];
      const all = await Promise.all(
        topics.map(async (topic) => {
          const record = await registry.read(topic);
          const gone = [...record.detached].map(async ([name, detached]) => ({
            topic,
            name,
            waiting: 0,
            oldestMs: 0,
            consumers: await countConsumers(scope(name), topic),
            detached,
          }));
          return Promise.all([
            ...gone,
            ...[...record.subscriptions].map(async ([name, generation]) => {
              const backlogs = await Promise.all(
                Array.from({ length: record.partitions ?? 0 }, async (_, partition) =>
                  (await queueOf({ project, topic, name, generation, partition })).backlog(),
                ),
              );
              const oldestAt = Math.min(...backlogs.map(({ oldestAt }) => oldestAt ?? Infinity));
              return {
                topic,
                name,
                waiting: backlogs.reduce((sum, { events }) => sum + events, 0),
                oldestMs: oldestAt === Infinity ? 0 : Math.max(0, Date.now() - oldestAt),
                consumers: await countConsumers(scope(name), topic),
              };
            }),
          ]);
        }),
      );
      return all.flat();
    },
    subscribers: async (topic) =>
      [...(await registry.read(topic)).subscriptions].map(([name, generation]) => ({
        name,
        generation,
      })),
    consume: (topic, name, handle, { signal }) =>
      tracked(signal, (signal) => consume(topic, name, handle, signal)),
    peek: async (topic, name, skip = 0) => {
      const { subscriptions, partitions: count = 0 } = await registry.read(topic);
      const generation = subscriptions.get(name);
      if (generation === undefined) return [];
      const heads = await Promise.all(
        Array.from({ length: count }, async (_, partition) =>
          (await queueOf({ project, topic, name, generation, partition })).peek(skip),
        ),
      );
      return heads.flat();
    },
    tap: (topic, { signal, missed }) =>
      taps.read(topic, {
        signal: AbortSignal.any([signal, closing.signal]),
        ...(missed && { missed }),
      }),
    erase: async (records) => {
      let erased = 0;
      for (const topic of await registry.topics()) {
        const { subscriptions, partitions: count = 0 } = await registry.read(topic);
        for (const [name, generation] of subscriptions)
          for (let partition = 0; partition < count; partition++)
            erased += await (
              await queueOf({ project, topic, name, generation, partition })
            ).erase(records);
      }
      return erased;
    },
    close: async (graceMs) => {
      closing.abort();
      const timer = new AbortController();
      await Promise.race([
        Promise.all(running).then(() => timer.abort()),
        sleep(graceMs, undefined, { signal: timer.signal }).catch(() => {}), // all had ended
      ]);
      abandon.abort();
      redis.close();
    },
  };
  return topics;
}
