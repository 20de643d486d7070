import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { expect, it, onTestFinished, vi } from "vitest";
import { startRedis, type RedisServer } from "../../../test/redis-server.ts";
import type { Log } from "../../connector.ts";
import { ConfigError } from "../../errors.ts";
import { upserted, type SluiceEvent } from "../../event.ts";
import { version } from "../../version.ts";
import type { Party } from "../conformance.ts";
import { openParty } from "./index.integration.test.child.ts";
import { openJobEvents } from "./events.ts";
import { bodiesKey, jobKey, queueNames } from "./names.ts";
import { newJobId } from "./new-jobs.ts";
import { openServerRuns } from "./server-run.ts";

const topic = "articles";
const name = "search";
const project = "faults";
/** A Redis that refuses our jobs for want of memory may still take a few bytes: probe with more than a job. */
const large = "x".repeat(300_000);

function event(key: string, n: number, body = ""): SluiceEvent {
  return upserted({
    source: "/faults",
    key,
    subject: key,
    version: version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    op: "update",
    after: { n, body },
    meta: {},
  });
}

async function server(...args: string[]): Promise<RedisServer> {
  const started = await startRedis(args);
  onTestFinished(started.stop);
  return started;
}

async function party(url: string, settings: { leaseMs?: number; log?: Log } = {}): Promise<Party> {
  const { leaseMs = 1_000, log } = settings;
  const opened = await openParty(
    { url, project, ...(log && { log }) },
    {
      partitions: 2,
      optional: false,
      maxWaiting: 100,
      leaseMs,
      writeTimeoutMs: 200,
    },
  );
  onTestFinished(async () => {
    await opened.topics.close(500);
    await opened.state.close();
  });
  return opened;
}

/** Consumes until the test ends, and notes for each key the numbers in the order they came. */
function consume(
  { topics }: Party,
  handle: () => Promise<void> = async () => {},
  subscription = name,
) {
  const seen = new Map<string, number[]>();
  const stop = new AbortController();
  const done = topics.consume(
    topic,
    subscription,
    async (events) => {
      await handle();
      for (const { subject, data } of events) {
        const { n } = (data as { after: { n: number } }).after;
        seen.set(String(subject), [...(seen.get(String(subject)) ?? []), n]);
      }
    },
    { signal: stop.signal },
  );
  return { seen, stop: () => (stop.abort(), done) };
}

/** Every number came, and none first after a higher one: repeats are allowed. */
function complete(numbers: readonly number[] | undefined, last: number): void {
  expect([...new Set(numbers)]).toEqual(Array.from({ length: last }, (_, at) => at + 1));
}

async function until(condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("it did not happen in time");
    await sleep(20);
  }
}

const drained = ({ topics }: Party) =>
  until(async () => (await topics.subscriptions(topic)).every(({ waiting }) => waiting === 0));

const { signal } = new AbortController();

for (const [how, awayMs] of [
  ["a restart", 0],
  ["an outage longer than the leases", 2_500],
] as const)
  it(`${how} of Redis in mid-stream loses nothing and keeps the order`, async () => {
    const redis = await server("--appendfsync", "always");
    const here = await party(redis.url);
    await here.topics.subscribe({ topic, name });
    const reader = consume(here);
    const last = 400;
    const publishing = (async () => {
      for (let n = 1; n <= last; n++) {
        await here.topics.publish(topic, [event("a", n), event("b", n)], { signal });
        await sleep(1); // a pace, not a wait
      }
    })();
    await until(() => (reader.seen.get("a")?.length ?? 0) > 50);
    await redis.kill();
    await sleep(awayMs); // the outage itself
    await redis.restart();
    await publishing;
    await until(() => ["a", "b"].every((key) => reader.seen.get(key)?.includes(last)));
    await drained(here);
    for (const key of ["a", "b"]) complete(reader.seen.get(key), last);
    await reader.stop();
    expect(await failedJobs(redis.url)).toBe(0);
  });

it("after Redis went back, what was published before must come first: an older session publishes nothing more", async () => {
  const redis = await server("--appendfsync", "always");
  const told: string[] = [];
  const note = (_: object, text: string) => void told.push(text);
  const log: Log = { debug() {}, info: note, warn: note, error: note };
  const here = await party(redis.url, { log });
  await here.topics.subscribe({ topic, name });
  const before = await here.topics.session();
  await before.topics.publish(topic, [event("a", 1)], { signal });
  const kept = redis.mark();
  for (const n of [2, 3]) await before.topics.publish(topic, [event("a", n)], { signal });
  await redis.kill();
  const onItsWay = before.topics.publish(topic, [event("a", 4)], { signal });
  const refused = expect(onItsWay).rejects.toMatchObject({ code: "redis.restarted" });
  await redis.restart(kept);
  await refused;
  await until(() => before.over.aborted);
  await expect(before.topics.publish(topic, [event("a", 5)], { signal })).rejects.toMatchObject({
    code: "redis.restarted",
  });
  // A session that begins now reads its checkpoint from what is there, and publishes again what came after.
  const after = await here.topics.session();
  for (const n of [2, 3, 4, 5]) await after.topics.publish(topic, [event("a", n)], { signal });
  const reader = consume(here);
  await until(() => reader.seen.get("a")?.includes(5) ?? false);
  complete(reader.seen.get("a"), 5);
  expect(reader.seen.get("a")).toEqual([1, 2, 3, 4, 5]);
  expect(after.over.aborted).toBe(false);
  await reader.stop();
  expect(told.filter((text) => text.includes("events are not in Redis"))).toEqual([]);
});

it("a job whose events Redis lost between the two is passed over, and said to come again", async () => {
  const redis = await server();
  const told: string[] = [];
  const note = (_: object, text: string) => void told.push(text);
  const log: Log = { debug() {}, info: note, warn: note, error: note };
  const here = await party(redis.url, { log });
  await here.topics.subscribe({ topic, name });
  const raw = new Redis(redis.url);
  onTestFinished(() => raw.disconnect());
  const { topics } = await here.topics.session();
  await topics.publish(topic, [event("a", 1)], { signal });
  await raw.del(await bodiesOf(raw, name));
  await redis.restart();
  const again = await here.topics.session();
  await again.topics.publish(topic, [event("a", 1)], { signal });
  const reader = consume(here);
  await until(() => reader.seen.get("a")?.length === 1);
  await reader.stop();
  expect(told).toContain("a batch lost its events with the last run of Redis");
  expect(told).not.toContain("events are not in Redis");
});

it.each([
  ["its topic", "partitions", "s:search"],
  ["one of two", "s:search"],
])(
  "a subscription that Redis lost with %s is there again, and one that was ended is not",
  async (_, ...fields) => {
    const redis = await server();
    const errors: string[] = [];
    const log: Log = {
      debug() {},
      info() {},
      warn() {},
      error: (_, text) => void errors.push(text),
    };
    const here = await party(redis.url, { log });
    const other = "other";
    for (const one of [name, other]) await here.topics.subscribe({ topic, name: one });
    const readers = [name, other].map((one) => consume(here, undefined, one));
    await here.topics.publish(topic, [event("a", 1)], { signal });
    await until(() => readers.every(({ seen }) => seen.get("a")?.length === 1));
    const raw = new Redis(redis.url);
    onTestFinished(() => raw.disconnect());
    await raw.hdel(`sluice:{${project}}:topic:${topic}`, ...fields);
    await until(async () => (await here.topics.subscribers(topic)).length === 2);
    await here.topics.publish(topic, [event("a", 2)], { signal });
    await until(() => readers.every(({ seen }) => seen.get("a")?.at(-1) === 2));
    expect(errors).toEqual(["redis lost the subscription: subscribed anew, what waited is gone"]);
    await here.topics.unsubscribe(topic, name);
    await sleep(1_500); // its consumer has looked by then
    expect((await here.topics.subscribers(topic)).map((one) => one.name)).toEqual([other]);
    for (const { stop } of readers) await stop();
  },
);

it("a full Redis holds the publisher and says so, and loses nothing", async () => {
  const redis = await server();
  const here = await party(redis.url);
  await here.topics.subscribe({ topic, name });
  const raw = new Redis(redis.url);
  onTestFinished(() => raw.disconnect());
  const used = Number(/used_memory:(\d+)/.exec(await raw.info("memory"))?.[1]);
  await raw.config("SET", "maxmemory", used + 6_000_000);
  const body = "x".repeat(50_000);
  const last = 300;
  let published = 0;
  const publishing = (async () => {
    for (let n = 1; n <= last; n++) {
      await here.topics.publish(topic, [event("a", n, body), event("b", n, body)], { signal });
      published = n;
    }
  })();
  const refusal = () => here.topics.probe().catch((error: unknown) => error);
  await until(async () => (await refusal()) !== undefined);
  expect(await refusal()).toMatchObject({
    code: "redis.full",
    fix: expect.stringMatching(/maxmemory/),
  });
  expect(published).toBeLessThan(last);
  const held = published;
  await sleep(300); // nothing to wait for: what must not happen is that it goes on
  expect(published - held).toBeLessThan(10); // Redis frees a little now and then
  await raw.config("SET", "maxmemory", used + 30_000_000);
  const reader = consume(here);
  await publishing;
  expect(await refusal()).toBe(undefined);
  await drained(here);
  for (const key of ["a", "b"]) complete(reader.seen.get(key), last);
  await reader.stop();
  expect(await failedJobs(redis.url)).toBe(0);
});

it("a full Redis can be looked at, and a subscription of it be ended", async () => {
  const redis = await server();
  const here = await party(redis.url);
  await here.topics.subscribe({ topic, name });
  for (const n of [1, 2, 3, 4])
    await here.topics.publish(topic, [event("a", n, large)], { signal });
  const looking = await party(redis.url);
  const raw = new Redis(redis.url);
  onTestFinished(() => raw.disconnect());
  const used = Number(/used_memory:(\d+)/.exec(await raw.info("memory"))?.[1]);
  await raw.config("SET", "maxmemory", used - 300_000);
  await expect(raw.set("probe", "x")).rejects.toThrow("OOM");
  expect(await looking.topics.subscriptions(topic)).toMatchObject([{ topic, name, waiting: 4 }]);
  expect(await looking.topics.peek(topic, name)).toHaveLength(1);
  await looking.topics.unsubscribe(topic, name);
  expect(await looking.topics.subscribers(topic)).toEqual([]);
  expect(await raw.keys("*:wait")).toEqual([]);
});

it("consumers drain a Redis that is full", async () => {
  const redis = await server();
  const here = await party(redis.url);
  await here.topics.subscribe({ topic, name });
  const raw = new Redis(redis.url);
  onTestFinished(() => raw.disconnect());
  let hold = true;
  const reader = consume(here, () => until(() => !hold));
  const body = "x".repeat(50_000);
  await here.topics.publish(topic, [event("a", 1), event("b", 1)], { signal });
  const used = Number(/used_memory:(\d+)/.exec(await raw.info("memory"))?.[1]);
  await raw.config("SET", "maxmemory", used + 4_000_000);
  const last = 100;
  const publishing = (async () => {
    for (let n = 2; n <= last; n++)
      await here.topics.publish(topic, [event("a", n, body), event("b", n, body)], { signal });
  })();
  await until(() =>
    raw.set("probe", large).then(
      () => false,
      () => true,
    ),
  );
  hold = false;
  await publishing;
  await drained(here);
  for (const key of ["a", "b"]) complete(reader.seen.get(key), last);
  await reader.stop();
});

it("the events of a job are gone after the last acknowledgement", async () => {
  const redis = await server();
  const here = await party(redis.url);
  for (const each of [name, "other"]) await here.topics.subscribe({ topic, name: each });
  await here.topics.publish(topic, [event("a", 1, "x".repeat(1_000_000))], { signal });
  expect(await bodies(redis.url, name)).toHaveLength(1);
  expect(await bodies(redis.url, "other")).toHaveLength(1);
  const reader = consume(here);
  await until(async () => (await bodies(redis.url, name)).length === 0);
  expect(reader.seen.get("a")).toEqual([1]);
  expect(await bodies(redis.url, "other")).toHaveLength(1);
  await here.topics.unsubscribe(topic, "other");
  expect(await bodies(redis.url, "other")).toEqual([]);
  await reader.stop();
});

it("events that no job is left for are swept after a day, those of a waiting job never", async () => {
  const redis = await server();
  const here = await party(redis.url);
  await here.topics.subscribe({ topic, name });
  const raw = new Redis(redis.url);
  onTestFinished(() => raw.disconnect());
  vi.spyOn(Date, "now").mockReturnValue(Date.now() - 2 * 24 * 60 * 60 * 1_000);
  try {
    await here.topics.publish(topic, [event("a", 1)], { signal });
    await raw.hset(await bodiesOf(raw, name), `${newJobId()}/0`, "[]");
  } finally {
    vi.restoreAllMocks();
  }
  const young = `${newJobId()}/0`;
  await raw.hset(await bodiesOf(raw, name), young, "[]");
  const reader = consume(here);
  await until(() => reader.seen.get("a")?.length === 1);
  await until(async () => (await bodies(redis.url, name)).length === 1);
  expect(await bodies(redis.url, name)).toEqual([young]);
  await reader.stop();
});

it("a completed job that waits again, because Redis went back, still has its events", async () => {
  const redis = await server();
  const client = new Redis(redis.url);
  onTestFinished(() => client.disconnect());
  const place = { project, topic, name, generation: "1", partition: 0 };
  const names = queueNames(place);
  const log: Log = { debug() {}, info() {}, warn() {}, error() {} };
  const currentRun = openServerRuns({ client, replicas: 0 }, log);
  const events = openJobEvents({ client, names, currentRun, log });
  const data = { pieces: 1, serverRun: "" };
  const held = () => client.hkeys(bodiesKey(names));
  await client.hset(bodiesKey(names), "job/0", "[]", "other/0", "[]");
  await client.hset(jobKey(names, "job"), "name", "1 events");
  events.forget("job", data);
  expect(await events.read("other", data)).toEqual([]);
  expect(await held()).toEqual(["job/0", "other/0"]);
  await client.hset(jobKey(names, "job"), "finishedOn", 1);
  for (const each of ["job", "other"]) events.forget(each, data);
  await events.flush();
  expect(await held()).toEqual([]);
});

it("says loudly which events are lost when somebody took them, and goes on", async () => {
  const redis = await server();
  const errors: string[] = [];
  const log: Log = { debug() {}, info() {}, warn() {}, error: (_, text) => void errors.push(text) };
  const here = await party(redis.url, { log });
  await here.topics.subscribe({ topic, name });
  const raw = new Redis(redis.url);
  onTestFinished(() => raw.disconnect());
  await here.topics.publish(topic, [event("a", 1)], { signal });
  await raw.del(await bodiesOf(raw, name));
  await here.topics.publish(topic, [event("a", 2)], { signal });
  const reader = consume(here);
  await until(() => reader.seen.get("a")?.length === 1);
  expect(reader.seen.get("a")).toEqual([2]);
  expect(errors).toEqual(["events are not in Redis"]);
  await reader.stop();
});

it("says how durable it is", async () => {
  for (const [args, level] of [
    [["--appendonly", "no"], "memory"],
    [["--appendfsync", "everysec"], "second"],
    [["--appendfsync", "always"], "disk"],
    [["--appendfsync", "no"], "memory"],
    [["--rename-command", "CONFIG", ""], "second"],
    [["--rename-command", "CONFIG", "", "--appendonly", "no"], "memory"],
  ] as const) {
    const redis = await server(...args);
    const { topics } = await party(redis.url);
    expect(await topics.durability(), args.join(" ")).toBe(level);
  }
});

it("refuses wrong credentials, and warns of a Redis that evicts", async () => {
  const redis = await server("--requirepass", "s3cret", "--maxmemory-policy", "allkeys-lru");
  const url = redis.url.replace("//", "//:wr0ng@");
  const error: unknown = await party(url).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ConfigError);
  expect(JSON.stringify([error, String(error)])).not.toContain("wr0ng");
  const warnings: string[] = [];
  const log: Log = {
    debug() {},
    info() {},
    warn: (_, text) => void warnings.push(text),
    error() {},
  };
  await party(redis.url.replace("//", "//:s3cret@"), { log });
  await until(() => warnings.length > 0);
  expect(warnings).toEqual(["redis may evict jobs when it is full"]);
});

it("close ends in time while Redis is away", async () => {
  const redis = await server();
  const here = await party(redis.url);
  await here.topics.subscribe({ topic, name });
  const reader = consume(here);
  await here.topics.publish(topic, [event("a", 1)], { signal });
  await until(() => reader.seen.get("a")?.length === 1);
  await redis.kill();
  const at = performance.now();
  await here.topics.close(500);
  expect(performance.now() - at).toBeLessThan(1_500);
  await here.state.close();
});

/** The ids of the jobs whose events Redis holds for a subscription. */
async function bodies(url: string, subscription: string): Promise<readonly string[]> {
  const client = new Redis(url);
  const keys = await client.keys(`*/${subscription}.*:bodies`);
  const ids = await Promise.all(keys.map((key) => client.hkeys(key)));
  client.disconnect();
  return ids.flat();
}

async function bodiesOf(client: Redis, subscription: string): Promise<string> {
  const [key = ""] = await client.keys(`*/${subscription}.*:bodies`);
  return key;
}

async function failedJobs(url: string): Promise<number> {
  const client = new Redis(url);
  const keys = await client.keys("*:failed");
  client.disconnect();
  return keys.length;
}
