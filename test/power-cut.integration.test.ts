import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import type { CountedOrder } from "./chaos/counted/messages.ts";
import { startCounted } from "./chaos/counted/processes.ts";
import { openWorld, type World } from "./chaos/counted/world.ts";
import { seeded } from "./chaos/random.ts";
import { aofOf, cutEmbedded, cutRedis, watchSize } from "./power-cut.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";

// Invariant 1, by what a power cut leaves: nothing that was confirmed at an origin that forgets it is missing at the end.

const seed = 20_261_127;
const random = seeded(seed);
const cuts = 2;

type OnFinished = (end: () => Promise<void> | void) => void;

/** What a test works with: everything ends with it. */
function openScene(onTestFinished: OnFinished, { forgets = true } = {}) {
  const world = openWorld(seed, 500, { forgets });
  onTestFinished(world.close);
  return {
    world,
    newDir: () => {
      const dir = mkdtempSync(join(tmpdir(), "sluice-cut-"));
      onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
      return dir;
    },
    startRedis: async (...settings: readonly string[]) => {
      const redis = await startRedis(settings);
      onTestFinished(redis.stop);
      return redis;
    },
    play: (place: CountedOrder["place"], log?: CountedOrder["log"]) => {
      const one = startCounted(
        {
          seed,
          project: "cut",
          place,
          partitions: 2,
          maxWaiting: 100,
          most: 100,
          forgets,
          ...(log && { log }),
        },
        world,
      );
      const kill = async () => {
        one.signal("SIGKILL");
        await one.exited;
      };
      onTestFinished(kill);
      return { ...one, kill };
    },
  };
}

/** Under load, and at last with a target that does nothing, so that what was confirmed still waits in the queue. */
async function underLoad(world: World, ms: number): Promise<void> {
  const before = world.confirmed();
  world.mood("well");
  await sleep(ms + random.below(500));
  await eventually(() => world.confirmed() > before, "a confirmation");
  world.mood("hold");
  await sleep(400 + random.below(400));
}

async function everythingArrives(world: World): Promise<void> {
  world.mood("well");
  const end = world.end();
  await eventually(() => world.ledger.missing(end) === 0, `all ${end} changes`);
  await eventually(() => world.confirmed() === end, "the last confirmation");
  expect(world.faults).toEqual([]);
}

// Not `expect.poll`, which tests that run at a time cannot share.
async function eventually(isTrue: () => boolean, what: string): Promise<void> {
  for (const deadline = performance.now() + 100_000; !isTrue(); await sleep(50))
    if (performance.now() > deadline) throw new Error(`not within 100 s: ${what}`);
}

async function dirOf({ url }: RedisServer): Promise<string> {
  const client = new Redis(url);
  const [, dir] = (await client.config("GET", "dir")) as [string, string];
  client.disconnect();
  return dir;
}

// Most of the time they wait for leases of processes that were killed.
describe.concurrent("a power cut", () => {
  it("takes nothing from the embedded queue, whatever was not synced (disk)", async ({
    onTestFinished,
  }) => {
    const { world, newDir, play } = openScene(onTestFinished);
    let dir = newDir();
    for (let cut = 0; cut < cuts; cut++) {
      const one = play(
        { kind: "embedded", dir },
        { kind: "wal", path: join(dir, "sluice.db-wal") },
      );
      await underLoad(world, 1_000);
      one.signal("SIGSTOP");
      await sleep(200); // what it had said before is heard
      const mark = world.mark();
      if (!mark) throw new Error("nothing was confirmed");
      const next = newDir();
      cutEmbedded(dir, next, mark);
      await one.kill();
      dir = next;
    }
    play({ kind: "embedded", dir });
    await everythingArrives(world);
  }, 300_000);

  it("takes nothing from a Redis that syncs always (disk)", async ({ onTestFinished }) => {
    const scene = openScene(onTestFinished);
    const { world, play, newDir } = scene;
    let redis = await scene.startRedis("--appendfsync", "always");
    for (let cut = 0; cut < cuts; cut++) {
      const dir = await dirOf(redis);
      const one = play({ kind: "redis", url: redis.url }, { kind: "aof", path: aofOf(dir) });
      await underLoad(world, 1_000);
      await one.kill();
      await redis.kill();
      const next = newDir();
      cutRedis(dir, next, world.mark()?.upTo ?? 0);
      redis = await scene.startRedis("--appendfsync", "always", "--dir", next);
    }
    play({ kind: "redis", url: redis.url });
    await everythingArrives(world);
  }, 300_000);

  it("takes from a Redis that syncs every second only what was not confirmed (second)", async ({
    onTestFinished,
  }) => {
    const scene = openScene(onTestFinished);
    const { world, play, newDir } = scene;
    let redis = await scene.startRedis();
    for (let cut = 0; cut < cuts; cut++) {
      const dir = await dirOf(redis);
      const size = watchSize(aofOf(dir));
      onTestFinished(size.stop);
      const one = play({ kind: "redis", url: redis.url });
      await underLoad(world, 6_500);
      const synced = size.ago(2_000);
      await one.kill();
      await redis.kill();
      const next = newDir();
      cutRedis(dir, next, synced);
      redis = await scene.startRedis("--dir", next);
    }
    play({ kind: "redis", url: redis.url });
    await everythingArrives(world);
  }, 300_000);

  it("of Redis' host is noticed by the processes of other hosts, and healed (second)", async ({
    onTestFinished,
  }) => {
    const scene = openScene(onTestFinished);
    const { world, play, newDir } = scene;
    const redis = await scene.startRedis();
    const dir = await dirOf(redis);
    const one = play({ kind: "redis", url: redis.url });
    for (let cut = 0; cut < cuts; cut++) {
      const size = watchSize(aofOf(dir));
      onTestFinished(size.stop);
      await underLoad(world, 6_500);
      const synced = size.ago(2_000);
      await redis.kill();
      size.stop();
      const copy = newDir();
      cutRedis(dir, copy, synced);
      rmSync(join(dir, "appendonlydir"), { recursive: true });
      cutRedis(copy, dir, synced);
      await redis.restart();
    }
    await everythingArrives(world);
    expect(one.isRunning()).toBe(true);
  }, 300_000);

  it("has nothing confirmed that Redis has lost, by a process that stood still meanwhile (second)", async ({
    onTestFinished,
  }) => {
    const scene = openScene(onTestFinished);
    const { world, play } = scene;
    const redis = await scene.startRedis();
    const one = play({ kind: "redis", url: redis.url });
    await eventually(() => world.confirmed() > 0, "a confirmation");
    world.mood("hold");
    const mark = redis.mark();
    await sleep(1_000);
    const end = world.end();
    await eventually(() => world.asked() === end, "the last checkpoint");
    one.signal("SIGSTOP"); // its source has nothing more to read, and so nothing to notice
    await redis.restart(mark);
    await sleep(6_000); // what it published is old enough by now
    one.signal("SIGCONT");
    await everythingArrives(world);
  }, 300_000);

  it("has a source read again what a Redis with snapshots only has lost (memory)", async ({
    onTestFinished,
  }) => {
    const scene = openScene(onTestFinished, { forgets: false });
    const { world, play } = scene;
    const redis = await scene.startRedis("--appendonly", "no", "--save", "3600 1");
    for (let cut = 0; cut < cuts; cut++) {
      const one = play({ kind: "redis", url: redis.url });
      await underLoad(world, 1_000);
      const client = new Redis(redis.url);
      await client.save();
      client.disconnect();
      await underLoad(world, 1_000);
      // In every other round under a live process, which must notice.
      if (cut % 2 === 0) await one.kill();
      await redis.restart();
      if (cut % 2 === 1) await underLoad(world, 1_000);
      await one.kill();
    }
    play({ kind: "redis", url: redis.url });
    await everythingArrives(world);
  }, 300_000);
});
