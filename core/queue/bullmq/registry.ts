import { toRedisError, type RedisPlace } from "../../state/redis/connect.ts";
import { timedId } from "../../timed-id.ts";
import type { Subscription, SubscriptionStatus } from "../queue.ts";
import { listenForMs } from "../tap.ts";
import { keyRoot } from "./names.ts";

/** What a topic is known by: its subscriptions, and the number of partitions its data was spread over. */
export interface TopicRecord {
  /** Undefined until something was published. */
  readonly partitions: number | undefined;
  /** Name → generation. */
  readonly subscriptions: ReadonlyMap<string, string>;
  /** Those that end when they are full. */
  readonly detaching: ReadonlySet<string>;
  /** Name → of those that did. */
  readonly detached: ReadonlyMap<string, Detached>;
  /** Those that somebody ended: what is in none of these has been lost. */
  readonly removed: ReadonlySet<string>;
  /** Somebody taps it. */
  readonly isTapped: boolean;
}

export type Detached = NonNullable<SubscriptionStatus["detached"]>;

export interface Registry {
  readonly read: (topic: string) => Promise<TopicRecord>;
  readonly topics: () => Promise<readonly string[]>;
  readonly subscribe: (subscription: Subscription) => Promise<"new" | "known">;
  /** Answers the generation that ended, if there was one. */
  readonly unsubscribe: (topic: string, name: string) => Promise<string | undefined>;
  /** Ends a subscription that is full, if it still is that one. */
  readonly detach: (
    subscription: Subscription & { readonly generation: string },
    detached: Detached,
  ) => Promise<boolean>;
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
const detachingField = "d:";
const detachedField = "x:";
const removedField = "r:";

const compareAndSet = `
if (redis.call('HGET', KEYS[1], 'partitions') or '') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'partitions', ARGV[2])
end`;

const detachScript = `
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
return 1`;

/**
 * ARGV: the field that says it was ended, those that go, of which the first holds its generation. In one: its consumer
 * must not take it for lost. Deleting comes first, which needs no memory: that lets the rest pass when Redis is full.
 */
const endScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local generation = redis.call('HGET', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[1], unpack(ARGV, 2))
redis.call('HSET', KEYS[1], ARGV[1], 1)
return generation`;

/** One hash a topic: `partitions`, `dropped`, `s:NAME` → generation, `t:ID` → until when somebody taps it (ms), `d:NAME` where it ends when full, `x:NAME` → when it did, as JSON, `r:NAME` where somebody ended it. */
export function openRegistry(
  { client, replication }: Pick<RedisPlace, "client" | "replication">,
  project: string,
): Registry {
  const root = keyRoot(project);
  /** Every write can be repeated: what a fail-over took is written again. */
  const kept = <T>(write: () => Promise<T>) => replication.kept(root, write, { repeatable: true });
  const keyOf = (topic: string) => `${root}:topic:${topic}`;

  const registry: Registry = {
    read: async (topic) => {
      const fields = await client.hgetall(keyOf(topic));
      const subscriptions = new Map<string, string>();
      const detaching = new Set<string>();
      const detached = new Map<string, Detached>();
      const removed = new Set<string>();
      let isTapped = false;
      for (const [field, value] of Object.entries(fields))
        if (field.startsWith(subscriptionField))
          subscriptions.set(field.slice(subscriptionField.length), value);
        else if (field.startsWith(listenerField)) isTapped ||= Number(value) > Date.now();
        else if (field.startsWith(detachingField))
          detaching.add(field.slice(detachingField.length));
        else if (field.startsWith(removedField)) removed.add(field.slice(removedField.length));
        else if (field.startsWith(detachedField))
          detached.set(field.slice(detachedField.length), JSON.parse(value) as Detached); // written by `detach`
      const partitions = fields["partitions"];
      return {
        partitions: partitions === undefined ? undefined : Number(partitions),
        subscriptions,
        detaching,
        detached,
        removed,
        isTapped,
      };
    },
    topics: () => client.smembers(`${root}:topics`),
    subscribe: async ({ topic, name, whenFull }) => {
      const generation = timedId();
      let isNew = false;
      await kept(async () => {
        await client.sadd(`${root}:topics`, topic);
        if (whenFull === "detach") await client.hset(keyOf(topic), detachingField + name, 1);
        else await client.hdel(keyOf(topic), detachingField + name);
        const added = await client.hsetnx(keyOf(topic), subscriptionField + name, generation);
        isNew ||= added === 1;
        if (isNew) await client.hdel(keyOf(topic), detachedField + name, removedField + name);
      });
      return isNew ? "new" : "known";
    },
    unsubscribe: async (topic, name) => {
      const fields = [subscriptionField, detachingField, detachedField].map((one) => one + name);
      let generation: string | undefined;
      await kept(async () => {
        const answer = await client.eval(
          endScript,
          1,
          keyOf(topic),
          removedField + name,
          ...fields,
        );
        generation ??= (answer as string | null) ?? undefined;
      });
      return generation;
    },
    detach: async ({ topic, name, generation }, detached) => {
      const [from, to] = [subscriptionField + name, detachedField + name];
      const values = [from, generation, to, JSON.stringify(detached)];
      let isOurs = false;
      await kept(async () => {
        isOurs = (await client.eval(detachScript, 1, keyOf(topic), ...values)) === 1 || isOurs;
      });
      return isOurs;
    },
    repartition: async (topic, from, to) => {
      await kept(() => client.eval(compareAndSet, 1, keyOf(topic), from ?? "", to));
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
  const { read, topics, subscribe, unsubscribe, detach, repartition } = registry;
  const { dropped, listen, unlisten } = registry;
  return {
    read: wrap(read),
    topics: wrap(topics),
    subscribe: wrap(subscribe),
    unsubscribe: wrap(unsubscribe),
    detach: wrap(detach),
    repartition: wrap(repartition),
    dropped: wrap(dropped),
    listen: wrap(listen),
    unlisten: wrap(unlisten),
  };
}
