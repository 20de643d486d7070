import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startRedis, type RedisServer } from "../../test/redis-server.ts";
import { openBackend } from "../backend.ts";
import type { Pipeline, Place, ResolvedConnector, Stage } from "../config/pipeline.ts";
import {
  defineSource,
  defineTransform,
  type SourceBatch,
  type SourceContext,
  type SourceDefinition,
  type WriteRun,
} from "../connector.ts";
import { ConfigError, PoisonError, PositionLostError, RetryableError } from "../errors.ts";
import { cleared, isUpsert, upserted, type SluiceEvent } from "../event.ts";
import { z } from "../index.ts";
import type { DeadLetter } from "../queue/queue.ts";
import { version } from "../version.ts";
import { commandEnding } from "./orphans.ts";
import { askSnapshot, fateOf } from "./requests.ts";
import { idOf } from "./place-id.ts";
import { startPipeline, type Running } from "./runner.ts";
import { sinkConnector } from "./sink.test.data.ts";

const checkpoint = z.strictObject({ next: z.number() });
type Reading = SourceContext<unknown, { next: number }>;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const admin = { host: "127.0.0.1", port: 0 };

const record = (context: Reading, n: number) =>
  upserted({
    source: "/numbers",
    key: n,
    subject: `n${n}`,
    version: context.nextVersion(),
    time: "2026-01-01T00:00:00Z",
    op: "create",
    after: { n },
    meta: {},
  });

/** Some of every partition. */
const others = Array.from({ length: 10 }, (_, at) =>
  upserted({
    source: "/others",
    key: at,
    subject: `n${90 + at}`,
    version: version({ epoch: 0, position: 0n, rank: 0, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    op: "update",
    after: {},
    meta: {},
  }),
);

/** A source that is what `read` does. */
function sourceOf(
  read: (context: Reading) => AsyncIterable<SourceBatch<{ next: number }>>,
  capable: Partial<SourceDefinition<z.ZodType, z.ZodType>["capabilities"]> = {},
): Extract<ResolvedConnector, { kind: "source" }> {
  const source = defineSource({
    name: "numbers",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    checkpoint,
    emits: ["dev.sluice.record."],
    capabilities: {
      deletes: false,
      snapshotOnRequest: false,
      replays: true,
      forgets: false,
      ...capable,
    },
    read,
  });
  return { kind: "source", name: "numbers", source, config: {}, to: "numbers" };
}

/** Counts upwards, one batch of `size` a yield, from the checkpoint to `until`, then waits. */
const counting = (until: number, size = 10, asked: number[] = []) =>
  sourceOf(async function* (context) {
    for (let next = context.checkpoint?.next ?? 0; next < until; next += size) {
      asked.push(next);
      const events = Array.from({ length: size }, (_, at) => record(context, next + at));
      yield { events, checkpoint: { next: next + size } };
    }
    await sleep(3_600_000, undefined, { signal: context.signal }).catch(() => undefined);
  });

const sinkOf = (
  write: (events: readonly SluiceEvent[], run: WriteRun) => Promise<void>,
  transforms: readonly Stage[] = [],
  from = "numbers",
): ResolvedConnector => sinkConnector(from, write, { transforms });

const numberOf = (event: SluiceEvent) => Number(event.subject?.slice(1));
const range = (until: number) => Array.from({ length: until }, (_, at) => at);
const sorted = (numbers: Iterable<number>) => [...numbers].toSorted((a, b) => a - b);

async function eventually(
  isTrue: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 15_000,
) {
  const deadline = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(20);
  }
}

let redis: RedisServer;
const dirs: string[] = [];
const running: Running[] = [];
beforeAll(async () => {
  redis = await startRedis(["--appendonly", "yes", "--maxmemory-policy", "noeviction"]);
});
afterAll(async () => await redis.stop());
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop(5_000)));
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

const places: Record<string, () => Place> = {
  embedded: () => {
    const dir = mkdtempSync(join(tmpdir(), "sluice-runner-"));
    dirs.push(dir);
    return { kind: "embedded", dir };
  },
  redis: () => ({ kind: "redis", url: redis.url }),
};
let projects = 0;

it("goes on by itself when Redis forgets everything", async () => {
  const forgetful = await startRedis(["--appendonly", "no", "--save", ""]);
  try {
    const place: Place = { kind: "redis", url: forgetful.url };
    const topics = { numbers: { partitions: 2, optional: false, maxWaiting: 4 } };
    const seen: number[] = [];
    const collect = sinkOf(async (events) => void seen.push(...events.map(numberOf)));
    const connectors = [counting(50), collect];
    const pipeline = { project: "forgetful", queue: place, state: place, topics, connectors };
    running.push(await startPipeline(pipeline, { log: silent, admin }));
    await eventually(() => new Set(seen).size === 50, "all events");
    await forgetful.kill();
    seen.length = 0;
    await forgetful.restart();
    await eventually(() => new Set(seen).size === 50, "all events, read anew", 25_000);
    await Promise.all(running.splice(0).map((one) => one.stop(5_000)));
  } finally {
    await forgetful.stop();
  }
});

it("says so when the queue does not answer, and invents nothing", async () => {
  const away = await startRedis(["--appendonly", "yes", "--appendfsync", "always"]);
  try {
    const place: Place = { kind: "redis", url: away.url };
    const topics = { numbers: { partitions: 2, optional: false, maxWaiting: 4 } };
    const connectors = [counting(10), sinkOf(async () => {})];
    const pipeline = { project: "away", queue: place, state: place, topics, connectors };
    const one = await startPipeline(pipeline, { log: silent, admin });
    running.push(one);
    expect(await one.status()).toMatchObject({ queueAnswers: true, durability: "disk" });
    await away.kill();
    const asked = performance.now();
    const status = await one.status();
    expect(performance.now() - asked).toBeLessThan(5_000);
    expect(status).toMatchObject({ queueAnswers: false, durability: "disk" });
    expect(status.connectors.map(({ subscriptions }) => subscriptions)).toEqual([
      undefined,
      undefined,
    ]);
    const stopping = performance.now();
    await Promise.all(running.splice(0).map((each) => each.stop(5_000)));
    expect(performance.now() - stopping).toBeLessThan(5_000);
  } finally {
    await away.stop();
  }
});

it("refuses to read what its origin forgets into a queue that forgets, unless told so", async () => {
  const forgetful = await startRedis(["--appendonly", "no"]);
  try {
    const place: Place = { kind: "redis", url: forgetful.url };
    const topics = { numbers: { partitions: 2, optional: false, maxWaiting: 4 } };
    let reads = 0;
    const source = sourceOf(
      async function* ({ settled, signal }) {
        yield { events: [], checkpoint: { next: 0 } };
        await settled();
        reads += 1;
        await sleep(3_600_000, undefined, { signal }).catch(() => undefined);
      },
      { forgets: true },
    );
    const pipelineOf = (one: ResolvedConnector): Pipeline => ({
      project: "forgetting",
      queue: place,
      state: place,
      topics,
      connectors: [one, sinkOf(async () => {})],
    });
    const refused = await startPipeline(pipelineOf(source), { log: silent, admin });
    running.push(refused);
    const { connector, error } = await refused.failed;
    expect({ connector, error }).toMatchObject({
      connector: "numbers",
      error: { name: "ConfigError", code: "source.forgets" },
    });
    expect((error as ConfigError).fix).toMatch(/appendonly yes.*"durability": "accept-loss"/);
    expect(reads).toBe(0);
    const accepting = { ...source, durability: "accept-loss" } as const;
    const accepted = await startPipeline(pipelineOf(accepting), { log: silent, admin });
    running.push(accepted);
    await eventually(() => reads === 1, "the source to read");
    await Promise.all(running.splice(0).map((one) => one.stop(5_000)));
  } finally {
    await forgetful.stop();
  }
});

describe.each(Object.keys(places))("a pipeline on %s", (kind) => {
  const settings = { partitions: 2, optional: false, maxWaiting: 4 };
  const pipelineOf = (connectors: readonly ResolvedConnector[], like?: Pipeline): Pipeline => {
    const place = like?.queue ?? (places[kind] as () => Place)();
    const project = like?.project ?? `runner-${process.pid}-${projects++}`;
    const topics = { numbers: settings, evens: { ...settings, partitions: 3 } };
    return { project, queue: place, state: place, topics, connectors };
  };
  const start = async (pipeline: Pipeline, secrets: readonly string[] = []) => {
    const one = await startPipeline(pipeline, { log: silent, admin, secrets });
    running.push(one);
    return one;
  };
  const lettersOf = async (pipeline: Pipeline, name = "collect") => {
    const backend = await openBackend(pipeline, { log: silent });
    const letters: DeadLetter[] = [];
    for await (const page of backend.deadLetters.list(name)) letters.push(...page);
    await backend.close(1_000);
    return letters;
  };

  it("brings every event from source to sink", async () => {
    const seen = new Set<number>();
    await start(
      pipelineOf([
        counting(500),
        sinkOf(async (events) => events.forEach((one) => seen.add(numberOf(one)))),
      ]),
    );
    await eventually(() => seen.size === 500, "all events seen");
    expect(sorted(seen)).toEqual(range(500));
  });

  it("resumes behind the stored checkpoint and repeats nothing that was checkpointed (Invariant 1)", async () => {
    const seen: number[] = [];
    const collect = sinkOf(async (events) => void seen.push(...events.map(numberOf)));
    const first = pipelineOf([counting(100), collect]);
    const one = await start(first);
    await eventually(() => seen.length >= 100, "the first hundred");
    await one.stop(5_000);
    const asked: number[] = [];
    await start(pipelineOf([counting(200, 10, asked), collect], first));
    await eventually(() => new Set(seen).size === 200, "the second hundred");
    expect(asked[0]).toBe(100);
  });

  it("publishes again what was published but not checkpointed, with higher versions", async () => {
    const versions: string[] = [];
    const collect = sinkOf(async (events) => {
      for (const event of events) if (isUpsert(event)) versions.push(event.sequence);
    });
    const place = pipelineOf([collect]);
    // The first run dies between publish and checkpoint: the checkpoint is refused by its schema.
    const broken = sourceOf(async function* (context) {
      yield {
        events: [record(context, 1)],
        checkpoint: { next: "no number" as unknown as number },
      };
    });
    const one = await start(pipelineOf([broken, collect], place));
    await eventually(() => versions.length > 0, "the event of the broken run");
    await one.stop(5_000);
    const before = versions.length;
    let resumedFrom: unknown = "never started";
    const whole = sourceOf(async function* (context) {
      resumedFrom = context.checkpoint;
      yield { events: [record(context, 1)], checkpoint: { next: 2 } };
    });
    await start(pipelineOf([whole, collect], place));
    await eventually(() => versions.length > before, "the event again");
    expect(resumedFrom).toBeUndefined();
    expect(versions.toSorted()).toEqual(versions);
  });

  it("slows the source down to a sink that stalls, and loses nothing (Invariant 9)", async () => {
    let isStalled = true;
    const seen = new Set<number>();
    const asked: number[] = [];
    const collect = sinkOf(async (events, { signal }) => {
      while (isStalled) await sleep(20, undefined, { signal });
      events.forEach((one) => seen.add(numberOf(one)));
    });
    await start(pipelineOf([counting(1_000, 10, asked), collect]));
    await eventually(() => asked.length > 0, "the source to start");
    let before: number;
    do {
      before = asked.length;
      await sleep(500);
    } while (asked.length > before);
    // 4 jobs may wait in each of 2 partitions, and a few are in flight.
    expect(asked.length).toBeLessThanOrEqual(12);
    isStalled = false;
    await eventually(() => seen.size === 1_000, "the rest");
  });

  it("keeps one poisoned event as a dead letter, without secrets, and writes the others (Invariants 8, 11)", async () => {
    const seen = new Set<number>();
    const collect = sinkOf(async (events) => {
      if (events.some((one) => numberOf(one) === 13))
        throw new PoisonError("13 is refused, says hunter2-secret", { code: "test.unlucky" });
      events.forEach((one) => seen.add(numberOf(one)));
    });
    const pipeline = pipelineOf([counting(50), collect]);
    const one = await start(pipeline, ["hunter2-secret"]);
    await eventually(() => seen.size === 49, "the other 49");
    const letters = await lettersOf(pipeline);
    expect(letters).toMatchObject([
      {
        stage: "write",
        event: { subject: "n13" },
        error: { code: "test.unlucky", message: "13 is refused, says ***" },
      },
    ]);
    const { connectors } = await one.status();
    expect(connectors.find(({ name }) => name === "collect")).toMatchObject({
      state: "running",
      deadLetters: 1,
    });
  });

  it("counts the dead letters that are there, in every process, and not those that are gone", async () => {
    const refusing = sinkOf(async (events) => {
      if (events.some((one) => numberOf(one) < 3))
        throw new PoisonError("no", { code: "test.unlucky" });
    });
    const pipeline = pipelineOf([counting(50), refusing]);
    const processes = [await start(pipeline), await start(pipeline)];
    const counts = async () =>
      await Promise.all(
        processes.map(async (one) => {
          const status = (await one.status()).connectors.find(({ name }) => name === "collect");
          const metrics = await (await fetch(`${one.url}/metrics`)).text();
          const [, gauge] =
            /^sluice_dead_letters\{[^}]*connector="collect"[^}]*\} (\d+)$/m.exec(metrics) ?? [];
          return [status?.deadLetters, Number(gauge)];
        }),
      );
    const made = async () => {
      const all = await Promise.all(processes.map((one) => one.status()));
      const counters = all.flatMap(({ connectors }) => connectors.map((one) => one.counters));
      return counters.reduce((sum, one) => sum + (one["dead_lettered"] ?? 0), 0);
    };
    await eventually(async () => (await lettersOf(pipeline)).length === 3, "three dead letters");
    expect(await counts()).toEqual([
      [3, 3],
      [3, 3],
    ]);
    const backend = await openBackend(pipeline, { log: silent });
    const [letter] = await lettersOf(pipeline);
    await backend.deadLetters.remove("collect", [letter?.id ?? ""]);
    await backend.close(1_000);
    expect(await counts()).toEqual([
      [2, 2],
      [2, 2],
    ]);
    await eventually(async () => (await made()) === 3, "that three were made");
  });

  it("keeps what a source yields and is no event as a dead letter of the source, and publishes the rest", async () => {
    const seen = new Set<number>();
    const source = sourceOf(async function* (context) {
      const events = range(20).map((n) => record(context, n));
      // A bug in the source: it built a version by hand.
      const broken = events.map((event, n) => (n === 7 ? { ...event, sequence: "7" } : event));
      yield { events: broken, checkpoint: { next: 20 } };
      await sleep(3_600_000, undefined, { signal: context.signal }).catch(() => undefined);
    });
    const collect = sinkOf(async (events) => events.forEach((one) => seen.add(numberOf(one))));
    const pipeline = pipelineOf([source, collect]);
    const one = await start(pipeline);
    await eventually(() => seen.size === 19, "the other 19");
    expect(await lettersOf(pipeline, "numbers")).toMatchObject([
      { stage: "publish", event: { subject: "n7" }, error: { code: "event.invalid" } },
    ]);
    const { connectors } = await one.status();
    expect(connectors.find(({ name }) => name === "numbers")).toMatchObject({
      state: "running",
      deadLetters: 1,
    });
  });

  it("takes an outage for an outage: nothing becomes a dead letter", async () => {
    let isOut = true;
    const seen = new Set<number>();
    const collect = sinkOf(async (events) => {
      if (isOut) throw new RetryableError("away", { code: "test.away", reason: "unreachable" });
      events.forEach((one) => seen.add(numberOf(one)));
    });
    const pipeline = pipelineOf([counting(50), collect]);
    const one = await start(pipeline);
    const stateOf = async () =>
      (await one.status()).connectors.find(({ name }) => name === "collect");
    await eventually(async () => (await stateOf())?.state === "failing", "failing");
    expect((await stateOf())?.error).toMatchObject({ code: "test.away" });
    isOut = false;
    await eventually(() => seen.size === 50, "all events");
    expect(await lettersOf(pipeline)).toEqual([]);
  });

  it("stops a connector for good on a ConfigError and says which", async () => {
    const collect = sinkOf(async () => {
      throw new ConfigError("the index has 3 dimensions", {
        code: "test.dimension",
        fix: "Use another.",
      });
    });
    const one = await start(pipelineOf([counting(10), collect]));
    expect(await one.failed).toMatchObject({
      connector: "collect",
      error: { code: "test.dimension" },
    });
    const { connectors } = await one.status();
    expect(connectors.find(({ name }) => name === "collect")).toMatchObject({
      state: "failed",
      error: { code: "test.dimension", fix: "Use another." },
    });
  });

  it("stops a source whose position is lost, and says so (Invariant 10)", async () => {
    const lost = sourceOf(async function* () {
      yield { events: [], checkpoint: { next: 1 } };
      throw new PositionLostError("the log begins after our position", { code: "test.gap" });
    });
    const one = await start(pipelineOf([lost, sinkOf(async () => {})]));
    expect(await one.failed).toMatchObject({ connector: "numbers", error: { code: "test.gap" } });
    const { connectors } = await one.status();
    expect(connectors[0]).toMatchObject({ state: "failed", error: { code: "test.gap" } });
    expect(connectors[0]?.error?.fix).toMatch(/"onGap": "resnapshot" on "numbers".*Or bring back/);
  });

  it("reads everything again where onGap says so, until a batch has replaced the checkpoint", async () => {
    const seen: string[] = [];
    const lost = sourceOf(async function* ({ checkpoint, state, signal }) {
      const [own] = await state.get(["own"]);
      seen.push(`${checkpoint?.next ?? "anew"} ${JSON.stringify(own?.value)}`);
      const run = seen.length;
      if (run === 1)
        yield { events: [], checkpoint: { next: 1 }, writes: [{ key: "own", value: "kept" }] };
      if (run <= 2) throw new PositionLostError("the log begins later", { code: "test.gap" });
      if (run === 3) throw new Error("socket hang up");
      yield { events: [], checkpoint: { next: 5 } };
      if (run === 4) throw new Error("socket hang up");
      await sleep(3_600_000, undefined, { signal }).catch(() => undefined);
    });
    const logged: string[] = [];
    const log = { ...silent, error: (_: object, message: string) => void logged.push(message) };
    const pipeline = pipelineOf([{ ...lost, onGap: "resnapshot" }, sinkOf(async () => {})]);
    const one = await startPipeline(pipeline, { log, admin });
    running.push(one);
    await eventually(() => seen.length === 5, "the run after the new checkpoint");
    expect(seen).toEqual([
      "anew undefined",
      'anew "kept"',
      'anew "kept"',
      'anew "kept"',
      '5 "kept"',
    ]);
    expect(logged).toEqual(["position lost: everything is read again, as onGap says"]);
    const { connectors } = await one.status();
    expect(connectors[0]).toMatchObject({ state: "running", counters: { positions_lost: 1 } });
  });

  it("lets a sink finish what it is writing when it stops", async () => {
    let begun = 0;
    let finished = 0;
    const slow = sinkOf(async () => {
      begun += 1;
      await sleep(500); // a request that is on the wire does not see the signal
      finished += 1;
    });
    const one = await start(pipelineOf([counting(10), slow]));
    await eventually(() => begun > 0, "a write to begin");
    await one.stop(5_000);
    expect(finished).toBe(begun);
  });

  it("reads on from the stored checkpoint when the store went back under it (Invariant 1)", async () => {
    let reads = 0;
    const idle = sourceOf(async function* (context) {
      reads += 1;
      const next = (context.checkpoint?.next ?? 0) + 1;
      yield { events: [], checkpoint: { next } };
      yield { events: [], checkpoint: { next } };
      await sleep(3_600_000, undefined, { signal: context.signal }).catch(() => undefined);
    });
    const pipeline = pipelineOf([idle, sinkOf(async () => {})]);
    await start(pipeline);
    await eventually(() => reads === 1, "the source to read");
    await sleep(300);
    const backend = await openBackend(pipeline, { log: silent });
    const { state } = backend.state.scope("numbers");
    await state.each([{ key: "checkpoint", value: undefined }]);
    await state.each([{ key: "checkpoint", value: { next: 1 } }]);
    await backend.close(1_000);
    await eventually(() => reads === 2, "the source to read again");
  });

  it("asks for a snapshot in every run until a batch that is stored completes it", async () => {
    const asked: string[] = [];
    const lives: string[] = [];
    let next = 0;
    const batch = (more: Partial<SourceBatch<{ next: number }>> = {}) => ({
      events: [],
      checkpoint: { next: next++ },
      ...more,
    });
    const source = sourceOf(
      async function* ({ requests, signal }) {
        const life = lives.shift();
        yield batch();
        for await (const { id } of requests) {
          asked.push(`${life} ${id}`);
          if (life === "fails") throw new Error("socket hang up");
          // What does not fit is not stored, and so the request is not forgotten either.
          const writes = life === "is refused" ? [{ key: "k", value: 1, expect: 7 }] : [];
          yield batch({ completes: life === "says nothing" ? [] : [id], writes });
          if (life === "says nothing") throw new Error("socket hang up");
        }
        signal.throwIfAborted();
      },
      { snapshotOnRequest: true },
    );
    lives.push("fails", "says nothing", "is refused", "completes", "is not asked");
    const pipeline = pipelineOf([source, sinkOf(async () => {})]);
    const backend = await openBackend(pipeline, { log: silent });
    const { state } = backend.state.scope("numbers");
    const one = await start(pipeline);
    const { request } = await askSnapshot(state);
    await eventually(async () => (await fateOf(state, request.id)) === "done", "completed");
    const ends = ["fails", "says nothing", "is refused", "completes"];
    expect(asked).toEqual(ends.map((life) => `${life} ${request.id}`));
    await one.stop(5_000);
    await start(pipeline);
    await eventually(() => lives.length === 0, "a run after it");
    const later = await askSnapshot(state);
    await eventually(async () => (await fateOf(state, later.request.id)) === "done", "the next");
    expect(asked.slice(4)).toEqual([`is not asked ${later.request.id}`]);
    await backend.close(1_000);
  });

  it("runs a source that had ended again for who subscribes later (Invariant 3)", async () => {
    const source = sourceOf(
      async function* (context) {
        const next = context.checkpoint?.next ?? 0;
        if (next === 0) return yield { events: [record(context, 1)], checkpoint: { next: 1 } };
        for await (const { id, audience = "" } of context.requests) {
          const event = { ...record(context, 2), audience };
          yield { events: [event], checkpoint: { next: next + 1 }, completes: [id] };
          return;
        }
      },
      { snapshotOnRequest: true },
    );
    const early: number[] = [];
    const late: number[] = [];
    const into = (all: number[]) =>
      sinkOf(async (events) => void all.push(...events.map(numberOf)));
    const first = pipelineOf([source, into(early)]);
    const one = await start(first);
    const isOver = async () =>
      (await one.status()).connectors.find(({ kind }) => kind === "source")?.state === "stopped";
    await eventually(async () => early.length === 1 && (await isOver()), "its end");
    await start({ ...first, connectors: [{ ...into(late), name: "late" }] });
    await eventually(() => late.length === 1, "what the late one missed");
    await eventually(isOver, "its end again");
    expect({ early, late }).toEqual({ early: [1], late: [2] });
  });

  it("names a subscription that nobody consumes any more", async () => {
    const before = pipelineOf([sinkOf(async () => {})]);
    await (await start(before)).stop(5_000);
    const renamed = { ...sinkOf(async () => {}), name: "collect-anew" };
    const warned: object[] = [];
    const log = { ...silent, warn: (fields: object) => void warned.push(fields) };
    running.push(await startPipeline(pipelineOf([renamed], before), { log, admin }));
    expect(warned).toContainEqual({
      topic: "numbers",
      subscription: "collect",
      waiting: 0,
      end: commandEnding({ topic: "numbers", name: "collect" }, before),
    });
  });

  it("starts a source again after an error that may pass", async () => {
    let tries = 0;
    const seen = new Set<number>();
    const flaky = sourceOf(async function* (context) {
      if ((tries += 1) < 3) throw new Error("socket hang up");
      yield { events: [record(context, 1)], checkpoint: { next: 1 } };
    });
    await start(
      pipelineOf([
        flaky,
        sinkOf(async (events) => events.forEach((one) => seen.add(numberOf(one)))),
      ]),
    );
    await eventually(() => seen.size === 1, "the event of the third try");
    expect(tries).toBe(3);
  });

  it("shows a source that fails again and again as failing all the while, since the first time", async () => {
    let tries = 0;
    const hanging = sourceOf(async function* (context) {
      if ((tries += 1) < 4) {
        await sleep(100, undefined, { signal: context.signal });
        throw new Error("no answer");
      }
      yield { events: [], checkpoint: { next: 1 } };
      await sleep(3_600_000, undefined, { signal: context.signal }).catch(() => undefined);
    });
    const one = await start(pipelineOf([hanging, sinkOf(async () => {})]));
    const shown = async () => (await one.status()).connectors[0];
    await eventually(async () => (await shown())?.state === "failing", "failing");
    const since = (await shown())?.error?.since;
    const seen: unknown[] = [];
    while (tries < 4) {
      seen.push(await shown());
      await sleep(20);
    }
    // The last one was asked for before the fourth try, or after.
    const before = seen.slice(0, -1);
    expect(before.length).toBeGreaterThan(5);
    for (const one of before) expect(one).toMatchObject({ state: "failing", error: { since } });
    await eventually(async () => (await shown())?.state === "running", "running");
  });

  it("runs a source once in two processes, and the standby takes over after a stop", async () => {
    let readers = 0;
    let most = 0;
    const source = sourceOf(async function* ({ signal }) {
      most = Math.max(most, (readers += 1));
      yield { events: [], checkpoint: { next: 0 } };
      await sleep(3_600_000, undefined, { signal }).catch(() => undefined);
      readers -= 1;
    });
    const collect = sinkOf(async () => {});
    const place = pipelineOf([source, collect]);
    const first = await start(place);
    await eventually(() => readers === 1, "the first to read");
    const second = await start(pipelineOf([source, collect], place));
    await eventually(
      async () => (await second.status()).connectors[0]?.state === "standby",
      "the second to stand by",
    );
    const stoppedAt = performance.now();
    await first.stop(5_000);
    await eventually(
      async () => (await second.status()).connectors[0]?.state === "running",
      "the second to take over",
    );
    expect(performance.now() - stoppedAt).toBeLessThan(5_000);
    expect(most).toBe(1);
  });

  it("runs a transform between two topics; deletes and clears go through it", async () => {
    const evens: Stage = {
      use: "evens",
      config: {},
      configHash: "00000000",
      transform: defineTransform({
        name: "evens",
        version: "1.0.0",
        summary: "",
        config: z.strictObject({}),
        accepts: [""],
        emits: [""],
        open: async () => ({
          apply: async (events) =>
            events.map((event) => (numberOf(event) % 2 === 0 ? event : null)),
        }),
      }),
    };
    const source = sourceOf(async function* (context) {
      const events = range(20).map((n) => record(context, n));
      const clear = cleared({
        source: "/numbers",
        below: context.nextVersion(),
        reason: "sweep",
        time: "2026-01-01T00:00:00Z",
        meta: {},
      });
      yield { events: [...events, clear], checkpoint: { next: 20 } };
    });
    const transform: ResolvedConnector = {
      kind: "transform",
      name: "only-evens",
      from: ["numbers"],
      to: "evens",
      transforms: [evens],
      retry: { attempts: 3, maxDelayMs: 50 },
    };
    const seen: SluiceEvent[] = [];
    await start(
      pipelineOf([
        source,
        transform,
        sinkOf(async (events) => void seen.push(...events), [], "evens"),
      ]),
    );
    const clears = () => seen.filter(({ type }) => type === "dev.sluice.collection.cleared");
    await eventually(() => clears().length >= 6, "2 scoped copies in each of 3 partitions");
    expect(sorted(seen.filter(isUpsert).map(numberOf))).toEqual(
      range(20).filter((n) => n % 2 === 0),
    );
    expect(
      sorted(seen.filter(({ type }) => type === "dev.sluice.record.deleted").map(numberOf)),
    ).toEqual(range(20).filter((n) => n % 2 === 1));
    const scopes = clears().map(({ data }) => JSON.stringify((data as { scope: unknown }).scope));
    expect(new Set(scopes)).toEqual(new Set(['{"partition":0,"of":2}', '{"partition":1,"of":2}']));
  });

  it("publishes from source and transform under their leases, and goes on where the queue knows later holders than the state", async () => {
    const pass: Stage = {
      use: "pass",
      config: {},
      configHash: "00000000",
      transform: defineTransform({
        name: "pass",
        version: "1.0.0",
        summary: "",
        config: z.strictObject({}),
        accepts: [""],
        emits: [""],
        open: async () => ({ apply: async (events) => [...events] }),
      }),
    };
    let goOn = 0;
    const source = sourceOf(async function* (context) {
      for (let next = context.checkpoint?.next ?? 0; next < 30; next += 10) {
        while (goOn * 10 < next) await sleep(20, undefined, { signal: context.signal });
        const events = range(10).map((n) => record(context, next + n));
        yield { events, checkpoint: { next: next + 10 } };
      }
      await sleep(3_600_000, undefined, { signal: context.signal });
    });
    const transform: ResolvedConnector = {
      kind: "transform",
      name: "passing",
      from: ["numbers"],
      to: "evens",
      transforms: [pass],
      retry: { attempts: 3, maxDelayMs: 50 },
    };
    const read: number[] = [];
    const passed: number[] = [];
    const note = (seen: number[]) => async (events: readonly SluiceEvent[]) =>
      void seen.push(...events.map(numberOf));
    const direct = { ...sinkOf(note(read)), name: "direct" };
    const pipeline = pipelineOf([source, transform, direct, sinkOf(note(passed), [], "evens")]);
    await start(pipeline);
    const all = async (until: number) =>
      eventually(
        () => [read, passed].every((seen) => seen.filter((n) => n < 90).length >= until),
        `${until} at both ends`,
      );
    await all(10);

    const backend = await openBackend(pipeline, { log: silent });
    const { signal } = new AbortController();
    const place = await idOf(backend.state);
    const aliases = async (name: string) => {
      let count = 0;
      for await (const page of backend.state.scope(name).state.scan("alias/")) count += page.length;
      return count;
    };
    for (const [name, topic, leases] of [
      ["passing", "evens", ["p/numbers/0", "p/numbers/1"]],
      ["numbers", "numbers", ["source"]],
    ] as const) {
      expect(await aliases(name)).toBe(0);
      for (const lease of leases) {
        const fence = { lease: `${name}/${lease}/${place}/`, token: 2 ** 40 };
        await backend.topics.publish(topic, others, { signal, fence });
      }
      goOn += 1;
      await all(goOn * 10 + 10);
      expect(await aliases(name)).toBe(leases.length);
    }
    await backend.close(1_000);
    for (const seen of [read, passed])
      expect(sorted(seen.filter((n) => n < 90))).toEqual(range(30));
  });

  it("answers on its admin API, to addresses only", async () => {
    const { url } = await start(pipelineOf([counting(10), sinkOf(async () => {})]));
    const get = async (path: string, headers = {}) => {
      const response = await fetch(url + path, { headers });
      return [response.status, await response.json()];
    };
    expect(await get("/healthz")).toEqual([200, { ok: true }]);
    await eventually(async () => (await get("/readyz"))[0] === 200, "ready");
    expect(await get("/connectors")).toMatchObject([
      200,
      { queue: kind, connectors: [{ name: "numbers" }, { name: "collect" }] },
    ]);
    expect((await get("/connectors/collect"))[1]).toMatchObject({
      kind: "sink",
      subscriptions: [{ topic: "numbers" }],
    });
    expect((await get("/nothing"))[0]).toBe(404);
    expect((await fetch(`${url}/connectors`, { method: "POST" })).status).toBe(405);
  });

  it("stops within its grace although the source hangs", async () => {
    const hanging = sourceOf(async function* () {
      yield { events: [], checkpoint: { next: 0 } };
      await new Promise(() => undefined);
    });
    const one = await start(pipelineOf([hanging, sinkOf(async () => {})]));
    await eventually(
      async () => (await one.status()).connectors[0]?.state === "running",
      "running",
    );
    const began = performance.now();
    await one.stop(10_000);
    expect(performance.now() - began).toBeLessThan(9_000);
  });
});
