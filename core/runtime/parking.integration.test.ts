import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis, type RedisServer } from "../../test/redis-server.ts";
import { openBackend, type Backend } from "../backend.ts";
import type { Pipeline, Place, SinkConnector } from "../config/pipeline.ts";
import { PartialError, PoisonError, type SluiceError } from "../errors.ts";
import type { DeadLetter } from "../queue/queue.ts";
import { replayLetters } from "./replay.ts";
import { startPipeline, type Running } from "./runner.ts";
import { sinkConnector } from "./sink.test.data.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const keys = Array.from({ length: 6 }, (_, at) => `k${at}`);
const perKey = 240;

let redis: RedisServer;
let dir: string;
beforeAll(async () => {
  redis = await startRedis(["--appendonly", "yes", "--maxmemory-policy", "noeviction"]);
  dir = mkdtempSync(join(tmpdir(), "sluice-parking-"));
});
afterAll(async () => {
  await redis.stop();
  rmSync(dir, { recursive: true, force: true });
});

const places: Readonly<Record<string, () => Place>> = {
  embedded: () => ({ kind: "embedded", dir }),
  redis: () => ({ kind: "redis", url: redis.url }),
};

/** A pipeline of one sink that parks, what it wrote, and what it refuses. */
function parkingIn(
  place: Place,
  project: string,
  { partitions = 2, ...more }: Partial<SinkConnector> & { readonly partitions?: number } = {},
) {
  const written: { readonly key: string; readonly n: number }[] = [];
  const world = {
    written,
    refuses: (_key: string, _n: number): boolean => false,
    /** As a whole, with an error that says nothing. */
    fails: (_key: string, _n: number): boolean => false,
  };
  const picky = sinkConnector(
    "t",
    async (events) => {
      await sleep(1);
      const failures = new Map<number, SluiceError>();
      for (const [at, event] of events.entries()) {
        const { n } = event.data as { n: number };
        const key = String(event["partitionkey"]);
        if (world.fails(key, n)) throw new Error("for a reason of its own");
        if (world.refuses(key, n)) failures.set(at, new PoisonError("no", { code: "picky.no" }));
        else written.push({ key, n });
      }
      if (failures.size > 0) throw new PartialError("some", { code: "picky.some", failures });
    },
    { name: "picky", onPoison: "park", ...more },
  );
  const pipeline: Pipeline = {
    project,
    queue: place,
    state: place,
    topics: { t: { partitions, optional: false, maxWaiting: 20 } },
    connectors: [picky],
  };
  return { world, pipeline };
}

const start = (pipeline: Pipeline) =>
  startPipeline(pipeline, { log, admin: { host: "127.0.0.1", port: 0 } });

async function lettersIn({ deadLetters }: Backend): Promise<readonly DeadLetter[]> {
  const all: DeadLetter[] = [];
  for await (const page of deadLetters.list("picky")) all.push(...page);
  return all;
}

async function until(isTrue: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not within a minute: ${what()}`);
    await sleep(20);
  }
}

const message = (key: string, n: number) => ({
  specversion: "1.0" as const,
  id: `${key}/${n}`,
  source: "/steps",
  type: "test.step",
  partitionkey: key,
  data: { n },
});

/** Each key's numbers, where each was written for the first time. */
function firstWrites(written: readonly { readonly key: string; readonly n: number }[]) {
  const all = new Map<string, Set<number>>(keys.map((key) => [key, new Set()]));
  for (const { key, n } of written) all.get(key)?.add(n);
  return Object.fromEntries([...all].map(([key, numbers]) => [key, [...numbers]]));
}

const inOrder = Object.fromEntries(
  keys.map((key) => [key, Array.from({ length: perKey }, (_, n) => n)]),
);

describe.each(Object.keys(places))("onPoison: park on %s", (kind) => {
  const place = () => places[kind]?.() ?? { kind: "embedded", dir };

  it("keeps every key's order, whatever is replayed under load, as workers come and go", async () => {
    const { world, pipeline } = parkingIn(place(), `load-${kind}`);
    let mended = -1;
    world.refuses = (_key, n) => n % 40 === 7 && n > mended;
    const backend = await openBackend(pipeline, { log });
    const running: Running[] = [await start(pipeline), await start(pipeline)];
    let [isPublished, parked, again] = [false, 0, 0];
    const publish = async () => {
      for (let n = 0; n < perKey; n++) {
        await backend.topics.publish(
          "t",
          keys.map((key) => message(key, n)),
          { signal: AbortSignal.timeout(60_000) },
        );
        await sleep(5);
      }
      isPublished = true;
    };
    const replay = async () => {
      await until(
        async () => (await lettersIn(backend)).some(({ stage }) => stage === "parked"),
        () => "something is parked",
      );
      for (let round = 0; !isPublished || (await lettersIn(backend)).length > 0; round++) {
        const letters = await lettersIn(backend);
        if (round % 2 === 1) mended += 40; // else what is replayed is refused again
        const done = await replayLetters("picky", letters, backend, {
          signal: AbortSignal.timeout(60_000),
        });
        parked += letters.filter(({ stage }) => stage === "parked").length;
        again += done.again.length;
        expect(
          [...done.replayed, ...done.again, ...done.waiting].toSorted(),
          "each letter became something",
        ).toEqual(letters.map(({ id }) => id).toSorted());
        await running[round % 2]?.stop(round % 3 === 0 ? 0 : 5_000);
        running[round % 2] = await start(pipeline);
        await sleep(100);
      }
    };
    try {
      await Promise.all([publish(), replay()]);
      await until(
        async () => (await backend.topics.subscriptions("t")).every(({ waiting }) => waiting === 0),
        () => "drained",
      );
      expect(firstWrites(world.written)).toEqual(inOrder);
      expect([parked, again].every((count) => count > 0)).toBe(true);
    } finally {
      await Promise.all(running.map((one) => one.stop(5_000)));
      await backend.close(1_000);
    }
  }, 120_000);

  it("a release that nobody was told of is found by the next event of the key", async () => {
    const { world, pipeline } = parkingIn(place(), `untold-${kind}`);
    world.refuses = (_key, n) => n === 0;
    const backend = await openBackend(pipeline, { log });
    const running = await start(pipeline);
    const publish = (...numbers: readonly number[]) =>
      backend.topics.publish(
        "t",
        numbers.map((n) => message("k0", n)),
        { signal: AbortSignal.timeout(60_000) },
      );
    try {
      await publish(0, 1, 2);
      await until(
        async () => (await lettersIn(backend)).length === 3,
        () => "parked",
      );
      world.refuses = () => false;
      const [letter] = await lettersIn(backend);
      await backend.deadLetters.release("picky", letter?.line ?? "");
      await publish(3);
      await until(
        () => world.written.length === 4,
        () => JSON.stringify(world.written),
      );
      expect(world.written.map(({ n }) => n)).toEqual([0, 1, 2, 3]);
      expect(await lettersIn(backend)).toEqual([]);
    } finally {
      await running.stop(5_000);
      await backend.close(1_000);
    }
  }, 120_000);

  it("what is refused again holds back the rest, and keeps its place and its reason", async () => {
    const { world, pipeline } = parkingIn(place(), `again-${kind}`);
    world.refuses = (_key, n) => n === 0 || n === 2;
    const backend = await openBackend(pipeline, { log });
    const running = await start(pipeline);
    const line = async () => {
      const all = (await lettersIn(backend)).toSorted((a, b) =>
        (a.order ?? "") < (b.order ?? "") ? -1 : 1,
      );
      return all.map(({ event, error }) => [event.id, error.code]);
    };
    try {
      await backend.topics.publish(
        "t",
        [0, 1, 2, 3].map((n) => message("k0", n)),
        { signal: AbortSignal.timeout(60_000) },
      );
      await until(
        async () => (await line()).length === 4,
        () => "parked",
      );
      world.refuses = (_key, n) => n === 2;
      const letters = await lettersIn(backend);
      const run = { signal: AbortSignal.timeout(60_000) };
      const done = await replayLetters("picky", letters, backend, run);
      expect([done.replayed.length, done.again.length, done.waiting]).toEqual([2, 2, []]);
      expect(await line()).toEqual([
        ["k0/2", "picky.no"],
        ["k0/3", "runner.parked"],
      ]);
      // Without its head the rest still waits; without any letter the key is free.
      const [head, rest] = (await lettersIn(backend)).toSorted((a, b) => (a.id < b.id ? -1 : 1));
      await backend.deadLetters.remove("picky", [head?.id ?? ""]);
      await backend.topics.publish("t", [message("k0", 4)], run);
      await until(
        async () => (await line()).length === 2,
        () => "still held",
      );
      expect(world.written.map(({ n }) => n)).toEqual([0, 1]);
      const left = (await lettersIn(backend)).map(({ id }) => id);
      expect(left).toContain(rest?.id);
      await backend.deadLetters.remove("picky", left);
      await backend.topics.publish("t", [message("k0", 5)], run);
      await until(
        () => world.written.length === 3,
        () => JSON.stringify(world.written),
      );
      expect(world.written.at(-1)).toEqual({ key: "k0", n: 5 });
    } finally {
      await running.stop(5_000);
      await backend.close(1_000);
    }
  }, 120_000);

  it("keys whose events have the same ids do not hold each other up", async () => {
    const { world, pipeline } = parkingIn(place(), `same-${kind}`);
    world.refuses = () => true;
    const backend = await openBackend(pipeline, { log });
    const running = await start(pipeline);
    const run = { signal: AbortSignal.timeout(60_000) };
    try {
      const twins = ["k0", "k1"].map((key) => ({ ...message(key, 0), id: "same" }));
      await backend.topics.publish("t", twins, run);
      await until(
        async () => (await lettersIn(backend)).length === 2,
        () => "given up on",
      );
      world.refuses = () => false;
      const done = await replayLetters("picky", await lettersIn(backend), backend, run);
      expect(done).toMatchObject({ again: [], waiting: [] });
      await backend.topics.publish("t", [message("k0", 1), message("k1", 1)], run);
      await until(
        () => world.written.length === 4,
        () => JSON.stringify(world.written),
      );
    } finally {
      await running.stop(5_000);
      await backend.close(1_000);
    }
  }, 120_000);

  it("no event of a key with a line is tried to tell poison from an outage", async () => {
    const { world, pipeline } = parkingIn(place(), `probe-${kind}`, { partitions: 1 });
    world.refuses = (key) => key === "k0";
    const backend = await openBackend(pipeline, { log });
    const running = await start(pipeline);
    const publish = (key: string, n: number) =>
      backend.topics.publish("t", [message(key, n)], { signal: AbortSignal.timeout(60_000) });
    const letters = async () => (await lettersIn(backend)).map(({ event }) => event.id).toSorted();
    try {
      await publish("k0", 0);
      await until(
        async () => (await letters()).length === 1,
        () => "given up on",
      );
      // From now on k0 would be written, and is what waits first.
      world.refuses = () => false;
      world.fails = (key) => key === "k1";
      await publish("k1", 0);
      await publish("k0", 1);
      await publish("k2", 0);
      await until(
        async () => (await letters()).length === 3,
        () => JSON.stringify(world.written),
      );
      expect(await letters()).toEqual(["k0/0", "k0/1", "k1/0"]);
      expect(new Set(world.written.map(({ key }) => key))).toEqual(new Set(["k2"]));
    } finally {
      await running.stop(5_000);
      await backend.close(1_000);
    }
  }, 120_000);

  it("a line is still handled in order once its connector is to continue", async () => {
    const project = `continue-${kind}`;
    const parks = parkingIn(place(), project);
    parks.world.refuses = (_key, n) => n === 0;
    const backend = await openBackend(parks.pipeline, { log });
    const publish = (...numbers: readonly number[]) =>
      backend.topics.publish(
        "t",
        numbers.map((n) => message("k0", n)),
        { signal: AbortSignal.timeout(60_000) },
      );
    let running = await start(parks.pipeline);
    try {
      await publish(0, 1, 2);
      await until(
        async () => (await lettersIn(backend)).length === 3,
        () => "parked",
      );
      await running.stop(5_000);
      const { world, pipeline } = parkingIn(place(), project, { onPoison: "continue" });
      running = await start(pipeline);
      await publish(3);
      await until(
        () => world.written.length === 1,
        () => "goes on",
      );
      const run = { signal: AbortSignal.timeout(60_000) };
      const done = await replayLetters("picky", await lettersIn(backend), backend, run);
      expect(done).toMatchObject({ again: [], waiting: [] });
      expect(world.written.map(({ n }) => n)).toEqual([3, 0, 1, 2]);
    } finally {
      await running.stop(5_000);
      await backend.close(1_000);
    }
  }, 120_000);
});
