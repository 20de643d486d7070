import { Redis } from "ioredis";
import { afterEach, expect, it } from "vitest";
import { startRedis, type RedisServer } from "../../test/redis-server.ts";
import type { Pipeline, Place } from "../config/pipeline.ts";
import { defineSource } from "../connector.ts";
import { z } from "../index.ts";
import { checkPipeline } from "./check.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const servers: RedisServer[] = [];
afterEach(async () => {
  for (const one of servers.splice(0)) await one.stop();
});

const started = async (...settings: string[]) => {
  const redis = await startRedis(settings);
  servers.push(redis);
  return redis;
};
const replication = defineSource({
  name: "replication",
  version: "1.0.0",
  summary: "",
  config: z.strictObject({}),
  checkpoint: z.strictObject({}),
  emits: [""],
  capabilities: { deletes: true, snapshotOnRequest: true, replays: true, forgets: true },
  async *read() {},
});
const pipelineOf = (queue: string, state = queue): Pipeline => {
  const place = (url: string): Place => ({ kind: "redis", url });
  const source = {
    kind: "source",
    name: "slot",
    source: replication,
    config: {},
    to: "t",
  } as const;
  return {
    project: "p",
    queue: place(queue),
    state: place(state),
    topics: { t: { partitions: 1, optional: false, maxWaiting: 10 } },
    connectors: [source],
  };
};
const checked = async (queue: string, state?: string) => {
  const groups = await checkPipeline(pipelineOf(queue, state), { log, scrub: (text) => text });
  return groups.map(({ name, findings }) => [
    name,
    ...findings.map(({ severity, code }) => `${severity} ${code}`),
  ]);
};

it("a good Redis is fine, and tells its durability", async () => {
  const redis = await started("--appendfsync", "always");
  expect(await checked(redis.url)).toEqual([
    ["queue", "ok redis.ready", "ok queue.durability"],
    ["slot", "ok check.none"],
  ]);
});

it("one that may delete keys is an error where it can get full, else a warning", async () => {
  const full = await started("--maxmemory-policy", "volatile-lru", "--maxmemory", "100mb");
  expect((await checked(full.url))[0]).toEqual([
    "queue",
    "ok redis.ready",
    "error redis.evicts",
    "ok queue.durability",
  ]);
  const endless = await started("--maxmemory-policy", "volatile-lru");
  expect((await checked(endless.url))[0]).toContain("warning redis.evicts");
});

it("one that is full is an error, though it answers", async () => {
  const full = await started("--maxmemory", "1mb");
  expect((await checked(full.url))[0]).toEqual([
    "queue",
    "ok redis.ready",
    "ok queue.durability",
    "error redis.full",
  ]);
});

it("one that forgets is a warning, and an error to a source whose origin forgets", async () => {
  const forgetful = await started("--appendonly", "no");
  expect(await checked(forgetful.url)).toEqual([
    ["queue", "ok redis.ready", "warning queue.durability"],
    ["slot", "error source.forgets", "ok check.none"],
  ]);
});

it("state elsewhere is checked by itself", async () => {
  const [queue, state] = [await started(), await started("--appendonly", "no")];
  expect(await checked(queue.url, state.url)).toEqual([
    ["queue", "ok redis.ready", "ok queue.durability"],
    ["state", "ok redis.ready"],
    ["slot", "ok check.none"],
  ]);
});

it("a replica and a cluster are told as such", async () => {
  const primary = await started();
  const replica = await started("--replicaof", "127.0.0.1", String(primary.port));
  await expect(checked(replica.url)).rejects.toMatchObject({ code: "redis.replica" });
  const cluster = await started("--cluster-enabled", "yes");
  await expect(checked(cluster.url)).rejects.toMatchObject({ code: "redis.cluster" });
  const client = new Redis(cluster.url);
  await client.call("CLUSTER", "ADDSLOTSRANGE", 0, 16_383);
  await expect
    .poll(async () => await client.cluster("INFO"), { timeout: 10_000 })
    .toContain("cluster_state:ok");
  client.disconnect();
  expect((await checked(cluster.url))[0]).toContain("warning redis.cluster");
});
