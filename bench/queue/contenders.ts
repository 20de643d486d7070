import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import type { Log } from "../../core/connector.ts";
import type { SluiceEvent } from "../../core/event.ts";
import { defaultLeaseMs, defaultWriteTimeoutMs } from "../../core/queue/options.ts";
import { spread } from "../../core/queue/partition.ts";
import type { Topics } from "../../core/queue/queue.ts";
import type { StatePlace } from "../../core/state/state.ts";

/** One way to carry events from a producer to a consumer, both in this process. */
export interface Contender {
  readonly publish: (events: readonly SluiceEvent[]) => Promise<void>;
  readonly close: () => Promise<void>;
}
export type Open = (options: {
  readonly partitions: number;
  readonly see: (events: readonly SluiceEvent[]) => void;
}) => Promise<Contender>;

const warn = (fields: object, message: string) =>
  void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
const log: Log = { debug: () => {}, info: () => {}, warn, error: warn };
const topic = "articles";
const name = "search";

/** Sluice on Redis, through the same `Topics` that the runner uses. */
export function redisTopics(url: string): Open {
  return async ({ partitions, see }) => {
    const project = `bench-${randomUUID()}`;
    const [{ openBullmqTopics }, { openRedisState }] = await Promise.all([
      import("../../core/queue/bullmq/index.ts"),
      import("../../core/state/redis/index.ts"),
    ]);
    const state = await openRedisState({ url, project, log });
    const options = { ...optionsOf(project, partitions, state), url };
    return carry(await openBullmqTopics(options), state, see, () => removeKeys(url, project));
  };
}

/** Sluice on SQLite, in a fresh directory. */
export const embeddedTopics: Open = async ({ partitions, see }) => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const [{ openEmbeddedTopics }, { openEmbeddedState }] = await Promise.all([
    import("../../core/queue/embedded/index.ts"),
    import("../../core/state/embedded/index.ts"),
  ]);
  const state = openEmbeddedState({ dir });
  const options = { ...optionsOf("sluice", partitions, state), dir };
  return carry(openEmbeddedTopics(options), state, see, () =>
    rm(dir, { recursive: true, force: true }),
  );
};

function optionsOf(project: string, partitions: number, { scope }: StatePlace) {
  return {
    project,
    settings: () => ({ partitions, optional: false, maxWaiting: 100 }),
    scope,
    log,
    leaseMs: defaultLeaseMs,
    writeTimeoutMs: defaultWriteTimeoutMs,
  };
}

async function carry(
  topics: Topics,
  state: StatePlace,
  see: (events: readonly SluiceEvent[]) => void,
  cleanUp: () => Promise<unknown>,
): Promise<Contender> {
  const stop = new AbortController();
  const { signal } = stop;
  await topics.subscribe({ topic, name });
  const consumed = topics.consume(topic, name, async (events) => see(events), { signal });
  return {
    publish: (events) => topics.publish(topic, events, { signal }),
    close: async () => {
      stop.abort();
      await consumed;
      await topics.unsubscribe(topic, name);
      await topics.close(5_000);
      await state.close();
      await cleanUp();
    },
  };
}

const entryEvents = 100;
const maxWaiting = 100;

/**
 * The yardstick: Redis Streams by hand, without retries, recovery, fencing or fan-out. A stream a
 * partition, entries of 100 events, the same JSON and hashing, adds of a yield pipelined, 10 entries a
 * read, the same bound on the backlog.
 */
export function rawStreams(url: string): Open {
  return async ({ partitions, see }) => {
    const project = `bench-${randomUUID()}`;
    const producer = new Redis(url);
    const streams = Array.from({ length: partitions }, (_, at) => `${project}:${at}`);
    const waiting = streams.map(() => 0);
    let closing = false;
    const readers = await Promise.all(
      streams.map(async (stream, partition) => {
        await producer.xgroup("CREATE", stream, name, "$", "MKSTREAM");
        const client = new Redis(url);
        const read = async () => {
          while (!closing) {
            const answer = await client.xreadgroup(
              ...([
                "GROUP",
                name,
                "c",
                "COUNT",
                10,
                "BLOCK",
                1_000,
                "STREAMS",
                stream,
                ">",
              ] as const),
            );
            for (const [, entries] of (answer ?? []) as [string, [string, string[]][]][]) {
              for (const [, fields] of entries)
                see(JSON.parse(fields[1] ?? "[]") as readonly SluiceEvent[]);
              const ids = entries.map(([id]) => id);
              await Promise.all([
                producer.xack(stream, name, ...ids),
                producer.xdel(stream, ...ids),
              ]);
              waiting[partition] = (waiting[partition] ?? 0) - entries.length;
            }
          }
        };
        return { client, ended: read() };
      }),
    );
    return {
      publish: async (events) => {
        const adds: Promise<unknown>[] = [];
        for (const [partition, share] of spread(events, partitions))
          for (let at = 0; at < share.length; at += entryEvents) {
            while ((waiting[partition] ?? 0) >= maxWaiting) await sleep(1);
            waiting[partition] = (waiting[partition] ?? 0) + 1;
            const json = JSON.stringify(share.slice(at, at + entryEvents));
            adds.push(producer.xadd(`${project}:${partition}`, "*", "e", json));
          }
        await Promise.all(adds);
      },
      close: async () => {
        closing = true;
        await Promise.all(readers.map(({ ended }) => ended));
        for (const { client } of readers) client.disconnect();
        await producer.unlink(...streams);
        producer.disconnect();
      },
    };
  };
}

async function removeKeys(url: string, project: string): Promise<void> {
  const client = new Redis(url);
  for await (const found of client.scanStream({ match: `*${project}*`, count: 1_000 }))
    if ((found as string[]).length > 0) await client.unlink(...(found as string[]));
  client.disconnect();
}
