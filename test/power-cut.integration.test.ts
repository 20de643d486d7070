import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterEach, expect, it } from "vitest";
import { seeded } from "./chaos/random.ts";
import type { CountedOrder } from "./chaos/counted/messages.ts";
import { startCounted, type CountedProcess } from "./chaos/counted/processes.ts";
import { openWorld, type World } from "./chaos/counted/world.ts";
import { aofOf, cutEmbedded, cutRedis, watchSize } from "./power-cut.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";

// Invariant 1, by what a power cut leaves: nothing that was confirmed at an origin that forgets it is missing at the end.

const seed = 20_261_127;
const random = seeded(seed);
const perSecond = 3_000;
const cuts = 2;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

const newDir = () => {
  const dir = mkdtempSync(join(tmpdir(), "sluice-cut-"));
  ends.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

const orderOf = (place: CountedOrder["place"], more: Partial<CountedOrder> = {}): CountedOrder => ({
  seed,
  project: "cut",
  place,
  partitions: 2,
  maxWaiting: 100,
  most: 100,
  forgets: true,
  ...more,
});

function play(order: CountedOrder, world: World): CountedProcess {
  const one = startCounted(order, world);
  ends.push(async () => {
    one.signal("SIGKILL");
    await one.exited;
  });
  return one;
}

/** Under load, then with a target that does nothing, so that what was confirmed still waits in the queue. */
async function underLoad(world: World, ms: number): Promise<void> {
  const before = world.confirmed();
  world.mood("well");
  await sleep(ms / 2);
  await expect.poll(() => world.confirmed(), { timeout: 30_000 }).toBeGreaterThan(before);
  world.mood("hold");
  await sleep(ms / 2);
}

async function everythingArrives(world: World): Promise<void> {
  world.mood("well");
  const end = world.end();
  await expect.poll(() => world.ledger.missing(end), { timeout: 60_000, interval: 100 }).toBe(0);
  await expect.poll(() => world.confirmed(), { timeout: 30_000, interval: 100 }).toBe(end);
  expect(world.faults).toEqual([]);
}

const dirOf = async ({ url }: RedisServer) => {
  const client = new Redis(url);
  const [, dir = ""] = (await client.config("GET", "dir")) as [string, string];
  client.disconnect();
  return dir;
};

it("the embedded queue loses nothing, whatever was not synced (disk)", async () => {
  const world = openWorld(seed, perSecond);
  ends.push(world.close);
  let dir = newDir();
  for (let cut = 0; cut < cuts; cut++) {
    const log = { kind: "wal", path: join(dir, "sluice.db-wal") } as const;
    const one = play(orderOf({ kind: "embedded", dir }, { log }), world);
    await underLoad(world, 1_000 + random.below(1_000));
    one.signal("SIGSTOP");
    await sleep(100); // what it had said before is heard
    const mark = world.mark();
    if (!mark) throw new Error("a confirmation without a mark");
    const next = newDir();
    cutEmbedded(dir, next, mark);
    one.signal("SIGKILL");
    dir = next;
  }
  play(orderOf({ kind: "embedded", dir }), world);
  await everythingArrives(world);
}, 120_000);

it("Redis that syncs always loses nothing that was acknowledged (disk)", async () => {
  const world = openWorld(seed, perSecond);
  ends.push(world.close);
  const settings = ["--appendfsync", "always"];
  let redis = await startRedis(settings);
  ends.push(() => redis.stop());
  for (let cut = 0; cut < cuts; cut++) {
    const dir = await dirOf(redis);
    const log = { kind: "aof", path: aofOf(dir) } as const;
    const one = play(orderOf({ kind: "redis", url: redis.url }, { log }), world);
    await underLoad(world, 1_000 + random.below(1_000));
    one.signal("SIGKILL");
    await one.exited;
    const { upTo = 0 } = world.mark() ?? {};
    redis = await afterCut(redis, upTo, settings);
  }
  play(orderOf({ kind: "redis", url: redis.url }), world);
  await everythingArrives(world);
}, 120_000);

it("Redis that syncs every second loses nothing that was confirmed, 5 s late (second)", async () => {
  const world = openWorld(seed, perSecond);
  ends.push(world.close);
  let redis = await startRedis();
  ends.push(() => redis.stop());
  for (let cut = 0; cut < cuts; cut++) {
    const size = watchSize(aofOf(await dirOf(redis)));
    ends.push(size.stop);
    const one = play(orderOf({ kind: "redis", url: redis.url }), world);
    await underLoad(world, 7_000 + random.below(1_000));
    const bytes = size.ago(2_000);
    one.signal("SIGKILL");
    await one.exited;
    size.stop();
    redis = await afterCut(redis, bytes);
  }
  play(orderOf({ kind: "redis", url: redis.url }), world);
  await everythingArrives(world);
}, 120_000);

it("a host of Redis that loses its power under a live process loses nothing that was confirmed (second)", async () => {
  const world = openWorld(seed, perSecond);
  ends.push(world.close);
  const redis = await startRedis();
  ends.push(() => redis.stop());
  const dir = await dirOf(redis);
  const one = play(orderOf({ kind: "redis", url: redis.url }), world);
  for (let cut = 0; cut < cuts; cut++) {
    const size = watchSize(aofOf(dir));
    ends.push(size.stop);
    await underLoad(world, 7_000 + random.below(1_000));
    const bytes = size.ago(2_000);
    await redis.kill();
    size.stop();
    const copy = newDir();
    cutRedis(dir, copy, bytes);
    rmSync(join(dir, "appendonlydir"), { recursive: true });
    cutRedis(copy, dir, bytes);
    await redis.restart();
  }
  await everythingArrives(world);
  expect(one.isRunning()).toBe(true);
}, 120_000);

it("Redis that only takes snapshots has a source read again what it lost (memory)", async () => {
  const world = openWorld(seed, perSecond, { forgets: false });
  ends.push(world.close);
  const redis = await startRedis(["--appendonly", "no", "--save", "3600 1"]);
  ends.push(() => redis.stop());
  const order = orderOf({ kind: "redis", url: redis.url }, { forgets: false });
  for (let cut = 0; cut < cuts; cut++) {
    const one = play(order, world);
    await underLoad(world, 1_000 + random.below(1_000));
    const client = new Redis(redis.url);
    await client.save();
    client.disconnect();
    await underLoad(world, 1_000);
    // In every other round under a live process, which must notice.
    if (cut % 2 === 0) one.signal("SIGKILL");
    await redis.restart();
    if (cut % 2 === 1) await underLoad(world, 1_000);
    one.signal("SIGKILL");
    await one.exited;
  }
  play(order, world);
  await everythingArrives(world);
}, 120_000);

/** Another server, started on what the cut left. */
async function afterCut(
  redis: RedisServer,
  bytes: number,
  settings: readonly string[] = [],
): Promise<RedisServer> {
  const next = newDir();
  const dir = await dirOf(redis);
  await redis.kill();
  cutRedis(dir, next, bytes);
  await redis.stop();
  return await startRedis([...settings, "--dir", next]);
}
