import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterEach, expect, it } from "vitest";
import { queueNames } from "../core/queue/bullmq/names.ts";
import { startCounting, type Counting } from "./counting-pipeline.ts";
import { startRedisCluster, type RedisCluster } from "./redis-cluster.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";
import { startRedisSentinels } from "./redis-sentinels.ts";
import { startReplicaSwitch } from "./replica-switch.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function counting(url: string): Promise<Counting> {
  const pipeline = await startCounting(url);
  ends.push(pipeline.stop);
  return pipeline;
}

async function startCluster(): Promise<RedisCluster> {
  const cluster = await startRedisCluster();
  ends.push(cluster.stop);
  return cluster;
}

/** A partition's queue whose server is not the one with the source's checkpoint, and its server. */
async function queueElsewhere(cluster: RedisCluster, { project, topics }: Counting) {
  const state = await cluster.holderOf(`sluice:{${project}/numbers}:v`);
  const [subscriber] = await topics.subscribers("numbers");
  for (let partition = 0; partition < 4; partition++) {
    const { name = "", generation = "" } = subscriber ?? {};
    const place = { project, topic: "numbers", name, generation, partition };
    const holder = await cluster.holderOf(queueNames(place).prefix);
    if (holder.primary !== state.primary) return holder;
  }
  throw new Error("all partitions lie beside the checkpoint");
}

/** From now on only the primary has what is written: its replicas stand still, without the connection that would hold it for them. */
async function cutReplication(primary: RedisServer, replicas: readonly RedisServer[]) {
  for (const replica of replicas) replica.freeze();
  const client = new Redis(primary.port, "127.0.0.1");
  await client.client("KILL", "TYPE", "replica");
  client.disconnect();
}

it("a queue that loses what its primary alone had, while the checkpoint is elsewhere, loses no event", async () => {
  const cluster = await startCluster();
  const pipeline = await counting(cluster.url);
  await pipeline.handled(500);
  const { primary, replicas } = await queueElsewhere(cluster, pipeline);
  await cutReplication(primary, replicas);
  pipeline.hold();
  await sleep(1_000); // what is published in this time waits where it may be lost
  await primary.kill();
  for (const replica of replicas) replica.thaw();
  pipeline.goOn();
  await pipeline.handled(pipeline.published() + 500);
  await pipeline.finish();
  pipeline.assertExact();
}, 120_000);

it("primaries of a cluster that die under load lose no event, and keep the order of every key", async () => {
  const cluster = await startCluster();
  const pipeline = await counting(cluster.url);
  for (let round = 0; round < 2; round++) {
    await pipeline.handled(pipeline.published() + 300);
    const { primary } =
      round === 0
        ? await cluster.holderOf(`sluice:{${pipeline.project}/numbers}:v`)
        : await queueElsewhere(cluster, pipeline);
    await primary.kill();
    await pipeline.handled(pipeline.published() + 300);
    await primary.restart();
    await cluster.healthy(3);
  }
  await pipeline.finish();
  pipeline.assertExact();
}, 120_000);

it("a primary behind sentinels that dies with what its replicas do not have loses no event", async () => {
  const sentinels = await startRedisSentinels();
  ends.push(sentinels.stop);
  const pipeline = await counting(sentinels.url);
  await pipeline.handled(500);
  const [primary, ...replicas] = sentinels.servers;
  if (!primary) throw new Error("no primary");
  await cutReplication(primary, replicas);
  pipeline.hold();
  await sleep(700); // shorter than what sentinels call down
  await primary.kill();
  for (const replica of replicas) replica.thaw();
  pipeline.goOn();
  await pipeline.handled(pipeline.published() + 500);
  await pipeline.finish();
  pipeline.assertExact();
}, 120_000);

it.each([
  ["where one confirms each write", "?replicas=1"],
  ["where none does", ""],
])(
  "a replica that takes over from a primary which answers READONLY since loses nothing, nor any key's order, %s",
  async (_, query) => {
    const primary = await startRedis("--repl-diskless-sync-delay 0".split(" "));
    const follow = `--replicaof 127.0.0.1 ${primary.port}`;
    const replica = await startRedis(follow.split(" "));
    await synchronized(replica);
    const address = await startReplicaSwitch(primary.port);
    ends.push(primary.stop, replica.stop, address.stop);
    const pipeline = await counting(address.url + query);
    await pipeline.handled(500);
    pipeline.hold();
    await replicate(replica, "NO", "ONE");
    await sleep(1_000); // what still goes to the old one is lost
    address.leadTo(replica.port);
    await replicate(primary, "127.0.0.1", String(replica.port));
    pipeline.goOn();
    await pipeline.handled(pipeline.published() + 300);
    await pipeline.finish();
    pipeline.assertExact();
  },
  120_000,
);

async function replicate({ port }: RedisServer, host: string, of: string): Promise<void> {
  const client = new Redis(port, "127.0.0.1");
  await client.replicaof(host, of);
  client.disconnect();
}

async function synchronized({ port }: RedisServer): Promise<void> {
  const client = new Redis(port, "127.0.0.1");
  await expect
    .poll(() => client.info("replication"), { timeout: 20_000 })
    .toContain("master_link_status:up");
  client.disconnect();
}
