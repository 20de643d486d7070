import { Redis } from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import { startRedis } from "../../../test/redis-server.ts";
import type { Log } from "../../connector.ts";
import { upserted, type SluiceEvent } from "../../event.ts";
import { redisLeases } from "../../state/redis/leases.ts";
import { connectRedis } from "../../state/redis/connect.ts";
import {
  failedOverReply,
  openReplication,
  unreplicated,
  type Replication,
} from "../../state/redis/replication.ts";
import { keysOf, scriptsOn } from "../../state/redis/scripts.ts";
import { redisStore } from "../../state/redis/store.ts";
import { version } from "../../version.ts";
import { openRefusals } from "../refusals.ts";
import { openAdder } from "./add.ts";
import { openParty } from "./index.integration.test.child.ts";
import { bodiesKey, queueNames, type QueuePlace } from "./names.ts";
import { newJobs } from "./new-jobs.ts";
import { openQueues } from "./queues.ts";
import { openRegistry } from "./registry.ts";

// One server that changes its history, as a replica does that is promoted; what the old primary had alone is taken away.

const project = "fail-over";
const [topic, name] = ["articles", "search"];
const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const { signal } = new AbortController();

async function server() {
  const redis = await startRedis();
  onTestFinished(redis.stop);
  const connected = () => {
    const client = new Redis(redis.url);
    onTestFinished(() => client.disconnect());
    return client;
  };
  const client = connected();
  const replication = openReplication({
    client: connected(),
    replicas: 0,
    place: redis.url,
    log: silent,
  });
  const failOver = () => client.multi().replicaof("127.0.0.1", 1).replicaof("NO", "ONE").exec();
  return { ...redis, client, replication, failOver };
}

const placeOf = (generation: string) => ({ project, topic, name, generation, partition: 0 });

function queueOn(client: Redis, replication: Replication, place: QueuePlace) {
  const redis = { client, replication, replicas: 1, probe: async () => {}, close: () => {} };
  return openQueues(redis, silent)(place);
}

function event(n: number): SluiceEvent {
  const at = version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 });
  const about = { source: "/x", key: "a", subject: "a", version: at, meta: {} };
  return upserted({ ...about, time: "2026-01-01T00:00:00Z", op: "update", after: { n } });
}

it("a job whose events a fail-over lost, and which was passed over, is added anew, before the next one", async () => {
  const { url, client, replication, failOver } = await server();
  const told: string[] = [];
  const log: Log = {
    ...silent,
    info: (_, text) => void told.push(text),
    error: (_, text) => void told.push(text),
  };
  const options = { partitions: 1, optional: false, maxWaiting: 100, leaseMs: 1_000 };
  const { topics, state } = await openParty(
    { url, project, log },
    { ...options, writeTimeoutMs: 200 },
  );
  onTestFinished(async () => {
    await topics.close(500);
    await state.close();
  });
  await topics.subscribe({ topic, name });
  const seen: string[] = [];
  const stop = new AbortController();
  const consume = () => {
    const consuming = topics.consume(
      topic,
      name,
      async (events) => void seen.push(...events.map(({ id }) => id)),
      { signal: stop.signal },
    );
    onTestFinished(() => (stop.abort(), consuming));
  };

  const registry = openRegistry({ client, replication: unreplicated }, project);
  const generation = (await registry.read(topic)).subscriptions.get(name) ?? "";
  const place = placeOf(generation);
  const queue = await queueOn(client, replication, place);
  let adds = 0;
  const adder = openAdder({
    queue: {
      ...queue,
      add: async (job, at) => {
        adds += 1;
        await queue.add(job, at);
        if (adds > 1) return;
        // Its events reached the old primary alone.
        await client.del(bodiesKey(queueNames(place)));
        await failOver();
        consume();
        await expect.poll(() => told.length, { timeout: 5_000 }).toBeGreaterThan(0);
      },
    },
    maxWaiting: 100,
    refusals: openRefusals(),
    log,
  });
  const jobs = [event(1), event(2)].flatMap((one) => newJobs([one]));
  await adder.add(jobs, { signal, mayWait: true, serverRun: "" });
  await expect.poll(() => seen, { timeout: 5_000 }).toEqual([event(1).id, event(2).id]);
  expect(told).toEqual([
    "events are not in Redis",
    "redis failed over: a batch that it may have lost is published again",
  ]);
});

it("who aborted publishes nothing again after a fail-over", async () => {
  const { client, replication, failOver } = await server();
  const place = placeOf("1");
  const queue = await queueOn(client, replication, place);
  const aborter = new AbortController();
  let adds = 0;
  const adder = openAdder({
    queue: {
      ...queue,
      add: async (job, at) => {
        adds += 1;
        await queue.add(job, at);
        await failOver();
        aborter.abort(new Error("another has the source"));
      },
    },
    maxWaiting: 100,
    refusals: openRefusals(),
    log: silent,
  });
  const run = { signal: aborter.signal, mayWait: true, serverRun: "" };
  await expect(adder.add(newJobs([event(1)]), run)).rejects.toThrow("another has the source");
  expect(adds).toBe(1);
  expect(await queue.waiting()).toBe(1);
});

describe("a primary that was replaced refuses, and the new one takes it once:", () => {
  /** Fails over after `kept` has seen whose history it is, and before it is written to. */
  const late = ({ replication, failOver }: Awaited<ReturnType<typeof server>>): Replication => ({
    ...replication,
    kept: async (tag, write, options) => {
      let tries = 0;
      const answer = await replication.kept(
        tag,
        async (history) => {
          tries += 1;
          if (tries === 1) await failOver();
          return await write(history);
        },
        options,
      );
      expect(tries).toBe(2);
      return answer;
    },
  });

  it("a write of state, which could not be repeated", async () => {
    const here = await server();
    const { state } = scopeOn(here.client, late(here));
    expect(await state.all([{ key: "key", value: 1, expect: 0 }])).toBe(true);
    expect(await state.get(["key"])).toEqual([{ key: "key", value: 1, revision: 1 }]);
  });

  it("a lease, and its renewal", async () => {
    const here = await server();
    const lease = await scopeOn(here.client, late(here)).leases.acquire("lease", 300);
    expect(lease?.token).toBeGreaterThan(0);
    const before = lease?.until() ?? 0;
    await expect.poll(() => lease?.until() ?? 0, { timeout: 5_000 }).toBeGreaterThan(before);
    await lease?.release();
  });

  it("the events of a job", async () => {
    const here = await server();
    const { client } = here;
    const place = placeOf("1");
    const queue = await queueOn(client, late(here), place);
    const adder = openAdder({ queue, maxWaiting: 100, refusals: openRefusals(), log: silent });
    const [job] = newJobs([event(1)]);
    await adder.add(job ? [job] : [], { signal, mayWait: true, serverRun: "" });
    expect(await client.hkeys(bodiesKey(queueNames(place)))).toHaveLength(1);
    expect(await queue.waiting()).toBe(1);
    expect(await queue.peek(0)).toEqual([event(1)]);
  });

  it("by the scripts themselves, each of them", async () => {
    const { client } = await server();
    const scripts = scriptsOn(client);
    const keys = keysOf("scope");
    for (const write of [
      scripts.each(...keys, "", "", "another", "key", "", "", "1"),
      scripts.all(...keys, "", "", "another", "key", "", "", "1"),
      scripts.acquire(...keys, "scope:l:lease", "lease", 300, "nonce", "another"),
      scripts.renew(...keys, "scope:l:lease", 1, 300, "another"),
    ])
      await expect(write).rejects.toThrow(/^FAILEDOVER /);
  });

  it("and the connection that it was written on is made anew", async () => {
    const { url } = await server();
    const { client, close } = await connectRedis({ url, project, log: silent });
    onTestFinished(close);
    const before = await client.client("ID");
    await expect(client.eval(`return ${failedOverReply}`, 0)).rejects.toThrow(/^FAILEDOVER /);
    await expect.poll(() => client.client("ID"), { timeout: 5_000 }).not.toBe(before);
  });

  it("and whoever writes hears of it where nobody becomes the new one", async () => {
    const here = await server();
    const elsewhere = await server();
    const { state } = scopeOn(here.client, elsewhere.replication);
    await expect(state.all([{ key: "key", value: 1 }])).rejects.toMatchObject({
      code: "redis.failed-over",
    });
    expect(await state.get(["key"])).toEqual([undefined]);
  });
});

function scopeOn(client: Redis, replication: Replication) {
  const scripts = scriptsOn(client);
  return {
    state: redisStore(scripts, "scope", replication),
    leases: redisLeases(scripts, "scope", replication),
  };
}
