import { Redis } from "ioredis";
import { expect, it, onTestFinished } from "vitest";
import { startRedis } from "../../../test/redis-server.ts";
import type { Log } from "../../connector.ts";
import { upserted, type SluiceEvent } from "../../event.ts";
import { openReplication, unreplicated } from "../../state/redis/replication.ts";
import { keysOf, scriptsOn } from "../../state/redis/scripts.ts";
import { version } from "../../version.ts";
import { openRefusals } from "../refusals.ts";
import { openAdder } from "./add.ts";
import { openParty } from "./index.integration.test.child.ts";
import { bodiesKey, queueNames } from "./names.ts";
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
  const place = { project, topic, name, generation, partition: 0 };
  const queue = await openQueues(
    { client, replication, replicas: 1, probe: async () => {}, close: () => {} },
    silent,
  )(place);
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
    log: silent,
  });
  const jobs = [event(1), event(2)].flatMap((one) => newJobs([one]));
  await adder.add(jobs, { signal, mayWait: true, serverRun: "" });
  await expect.poll(() => seen, { timeout: 5_000 }).toEqual([event(1).id, event(2).id]);
  expect(told).toEqual(["a batch lost its events in a fail-over of Redis"]);
});

it("a primary that was replaced takes no write of state, and the new one takes it once", async () => {
  const { client, replication, failOver } = await server();
  const scripts = scriptsOn(client);
  const keys = keysOf("scope");
  await replication.history("scope");
  const histories: string[] = [];
  const write = async (history: string) => {
    histories.push(history);
    if (histories.length === 1) await failOver();
    return await scripts.all(...keys, "", "", history, "key", "0", "", "1");
  };
  expect(await replication.kept("scope", write, { repeatable: false })).toBe(1);
  expect(new Set(histories).size).toBe(2);
  expect(await scripts.get(...keys, "key")).toEqual([1, "1"]);
});
