import type { Redis } from "ioredis";
import { toRedisError } from "../../state/redis/connect.ts";
import { timedId } from "../../timed-id.ts";
import { listenForMs } from "../tap.ts";
import { keyRoot } from "./names.ts";

/** What a topic is known by: its subscriptions, and the number of partitions its data was spread over. */
export interface TopicRecord {
  /** Undefined until something was published. */
  readonly partitions: number | undefined;
  /** Name → generation. */
  readonly subscriptions: ReadonlyMap<string, string>;
  /** Somebody taps it. */
  readonly isTapped: boolean;
}

export interface Registry {
  readonly read: (topic: string) => Promise<TopicRecord>;
  readonly topics: () => Promise<readonly string[]>;
  readonly subscribe: (topic: string, name: string) => Promise<"new" | "known">;
  /** Answers the generation that ended, if there was one. */
  readonly unsubscribe: (topic: string, name: string) => Promise<string | undefined>;
  /** Sets the number of partitions if it still is `from`. */
  readonly repartition: (topic: string, from: number | undefined, to: number) => Promise<void>;
  /** Counts events that no subscription wanted. */
  readonly dropped: (topic: string, events: number) => Promise<void>;
  /** Notes that somebody taps the topic, for `listenForMs` to come. */
  readonly listen: (topic: string, id: string) => Promise<void>;
  readonly unlisten: (topic: string, id: string) => Promise<void>;
}

const subscriptionField = "s:";
const listenerField = "t:";

const compareAndSet = `
if (redis.call('HGET', KEYS[1], 'partitions') or '') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'partitions', ARGV[2])
end`;

/** One hash a topic: `partitions`, `dropped`, `s:NAME` → generation, `t:ID` → until when somebody taps it (ms). */
export function openRegistry(client: Redis, project: string): Registry {
  const root = keyRoot(project);
  const keyOf = (topic: string) => `${root}:topic:${topic}`;

  const registry: Registry = {
    read: async (topic) => {
      const fields = await client.hgetall(keyOf(topic));
      const subscriptions = new Map<string, string>();
      let isTapped = false;
      for (const [field, value] of Object.entries(fields))
        if (field.startsWith(subscriptionField))
          subscriptions.set(field.slice(subscriptionField.length), value);
        else if (field.startsWith(listenerField)) isTapped ||= Number(value) > Date.now();
      const partitions = fields["partitions"];
      return {
        partitions: partitions === undefined ? undefined : Number(partitions),
        subscriptions,
        isTapped,
      };
    },
    topics: () => client.smembers(`${root}:topics`),
    subscribe: async (topic, name) => {
      await client.sadd(`${root}:topics`, topic);
      const isNew = await client.hsetnx(keyOf(topic), subscriptionField + name, timedId());
      return isNew === 1 ? "new" : "known";
    },
    unsubscribe: async (topic, name) => {
      const generation = await client.hget(keyOf(topic), subscriptionField + name);
      await client.hdel(keyOf(topic), subscriptionField + name);
      return generation ?? undefined;
    },
    repartition: async (topic, from, to) => {
      await client.eval(compareAndSet, 1, keyOf(topic), from ?? "", to);
    },
    dropped: async (topic, events) => {
      await client.hincrby(keyOf(topic), "dropped", events);
    },
    listen: async (topic, id) => {
      await client.hset(keyOf(topic), listenerField + id, Date.now() + listenForMs);
    },
    unlisten: async (topic, id) => {
      const fields = await client.hgetall(keyOf(topic));
      const over = Object.entries(fields)
        .filter(([field, until]) => field.startsWith(listenerField) && Number(until) < Date.now())
        .map(([field]) => field);
      await client.hdel(keyOf(topic), listenerField + id, ...over);
    },
  };
  return explained(registry);
}

/** Foreign errors become ours in one place. */
function explained(registry: Registry): Registry {
  const wrap =
    <A extends readonly unknown[], R>(run: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      run(...args).catch((error: unknown) => {
        throw toRedisError(error);
      });
  const { read, topics, subscribe, unsubscribe, repartition, dropped, listen, unlisten } = registry;
  return {
    read: wrap(read),
    topics: wrap(topics),
    subscribe: wrap(subscribe),
    unsubscribe: wrap(unsubscribe),
    repartition: wrap(repartition),
    dropped: wrap(dropped),
    listen: wrap(listen),
    unlisten: wrap(unlisten),
  };
}
