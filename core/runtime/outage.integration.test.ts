import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import Libsql from "libsql";
import { afterEach, expect, it } from "vitest";
import { startRedis, type RedisServer } from "../../test/redis-server.ts";
import type { Pipeline, Place } from "../config/pipeline.ts";
import { defineSource, type Log } from "../connector.ts";
import { upserted } from "../event.ts";
import { z } from "../index.ts";
import { startPipeline, type Running } from "./runner.ts";
import { sinkConnector } from "./sink.test.data.ts";

const source = defineSource({
  name: "numbers",
  version: "1.0.0",
  summary: "",
  config: z.strictObject({}),
  checkpoint: z.strictObject({ n: z.int() }),
  emits: ["dev.sluice.record."],
  capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
  async *read({ checkpoint, nextVersion, signal }) {
    for (let n = (checkpoint?.n ?? 0) + 1; !signal.aborted; n++) {
      const event = upserted({
        source: "/numbers",
        key: n,
        subject: `n${n}`,
        version: nextVersion(),
        time: "2026-01-01T00:00:00Z",
        op: "create",
        after: { n },
        meta: {},
      });
      yield { events: [event], checkpoint: { n } };
      await sleep(20, undefined, { signal }).catch(() => undefined);
    }
  },
});

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Started {
  readonly running: Running;
  readonly seen: ReadonlySet<string>;
  /** What was logged as a warning or an error, and the lines at info. */
  readonly loud: readonly string[];
  readonly informed: readonly string[];
}

async function startWithRedis(): Promise<Started & { readonly redis: RedisServer }> {
  const redis = await startRedis();
  closers.push(redis.stop);
  return { redis, ...(await start({ kind: "redis", url: redis.url })) };
}

async function start(place: Place): Promise<Started> {
  const seen = new Set<string>();
  const loud: string[] = [];
  const informed: string[] = [];
  const shout = (fields: object, text: string) =>
    void loud.push(`${text} ${JSON.stringify(fields)}`);
  const log: Log = {
    debug() {},
    info: (_, text) => void informed.push(text),
    warn: shout,
    error: shout,
  };
  const collect = sinkConnector("numbers", async (events) =>
    events.forEach(({ subject = "" }) => seen.add(subject)),
  );
  const pipeline: Pipeline = {
    project: "outage",
    queue: place,
    state: place,
    topics: { numbers: { partitions: 2, optional: false, maxWaiting: 10 } },
    connectors: [{ kind: "source", name: "numbers", source, config: {}, to: "numbers" }, collect],
  };
  const running = await startPipeline(pipeline, { log, admin: { host: "127.0.0.1", port: 0 } });
  closers.push(() => running.stop(5_000));
  await expect.poll(() => seen.size, { timeout: 15_000 }).toBeGreaterThan(20);
  return { running, seen, loud, informed };
}

async function read({ running: { url } }: Started, path: string) {
  const answer = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(5_000) });
  return { code: answer.status, text: await answer.text() };
}

async function configured(url: string, name: string, value: string): Promise<void> {
  const client = new Redis(url);
  await client.config("SET", name, value);
  client.disconnect();
}

type Hit = Awaited<ReturnType<typeof startWithRedis>>;

const outages = [
  {
    what: "stands still",
    begin: async ({ redis }: Hit) => redis.freeze(),
    end: async ({ redis }: Hit) => redis.thaw(),
    why: { code: "redis.unreachable", message: "does not answer", fix: "Start Redis there again" },
  },
  {
    what: "is gone",
    begin: ({ redis }: Hit) => redis.kill(),
    end: ({ redis }: Hit) => redis.restart(),
    why: { code: "redis.unreachable", message: "ECONNREFUSED", fix: "Start Redis there again" },
  },
  {
    what: "is full",
    begin: ({ redis }: Hit) => configured(redis.url, "maxmemory", "1mb"),
    end: ({ redis }: Hit) => configured(redis.url, "maxmemory", "0"),
    why: { code: "redis.full", message: "full", fix: "Raise maxmemory" },
  },
] as const;

it.each(outages)(
  "while Redis $what everybody says so, once, and all goes on by itself",
  { timeout: 90_000 },
  async ({ begin, end, why }) => {
    const started = await startWithRedis();
    const { running, seen, loud, informed } = started;
    await begin(started);
    const trouble = {
      code: why.code,
      message: expect.stringContaining(why.message) as string,
      fix: expect.stringContaining(why.fix) as string,
      since: expect.any(String) as string,
    };
    await expect
      .poll(async () => await running.status(), { timeout: 15_000, interval: 200 })
      .toMatchObject({
        outage: trouble,
        connectors: [
          { name: "numbers", state: "failing", error: trouble },
          { name: "collect", state: "failing", error: trouble },
        ],
      });
    const ready = await read(started, "/readyz");
    expect([ready.code, JSON.parse(ready.text)]).toMatchObject([
      503,
      { ready: false, waitingFor: ["numbers", "collect"], outage: trouble },
    ]);
    expect((await read(started, "/healthz")).code).toBe(200);
    const { text: metrics } = await read(started, "/metrics");
    expect(metrics).toMatch(/^sluice_queue_up\{[^}]*\} 0$/m);
    for (const name of ["numbers", "collect"])
      expect(metrics).toMatch(
        new RegExp(`^sluice_connector_failing_since_seconds\\{[^}]*"${name}"[^}]*\\} 1\\d{9}`, "m"),
      );
    await sleep(4_000); // nothing to wait for: what must not happen is that it is told again
    expect(loud).toEqual([
      expect.stringMatching(/^the queue cannot be used: waiting for it .*redis\./),
    ]);
    const before = seen.size;
    await end(started);
    await expect
      .poll(async () => (await running.status()).connectors.map(({ state }) => state), {
        timeout: 30_000,
      })
      .toEqual(["running", "running"]);
    expect(informed.filter((line) => line.startsWith("the queue can be used again"))).toHaveLength(
      1,
    );
    expect(await read(started, "/readyz")).toMatchObject({ code: 200 });
    expect((await read(started, "/metrics")).text).toMatch(/^sluice_queue_up\{[^}]*\} 1$/m);
    await expect.poll(() => seen.size, { timeout: 15_000 }).toBeGreaterThan(before + 20);
  },
);

it(
  "what the admin API is asked while Redis stands still is refused, and not done later",
  { timeout: 60_000 },
  async () => {
    const started = await startWithRedis();
    const { redis, running, seen } = started;
    const asked: readonly (readonly [method: string, path: string])[] = [
      ["POST", "collect/stop"],
      ["POST", "numbers/pause"],
      ["GET", "numbers/checkpoint"],
      ["DELETE", "numbers"],
    ];
    const ask = async () =>
      await Promise.all(
        asked.map(async ([method, path]) => {
          const signal = AbortSignal.timeout(10_000);
          const answer = await fetch(`${running.url}/connectors/${path}`, { method, signal });
          return (await answer.json()) as object;
        }),
      );
    redis.freeze();
    const problem = {
      status: 503,
      code: "redis.unreachable",
      detail: expect.stringContaining("does not answer") as string,
      fix: expect.any(String) as string,
    };
    // Before anybody has noticed, and after.
    for (let times = 0; times < 2; times++)
      expect(await ask()).toMatchObject(asked.map(() => problem));
    redis.thaw();
    const states = async () => (await running.status()).connectors.map(({ state }) => state);
    await expect.poll(states, { timeout: 30_000 }).toEqual(["running", "running"]);
    await sleep(1_500); // by then everybody has looked for what is wanted
    expect(await states()).toEqual(["running", "running"]);
    const before = seen.size;
    await expect.poll(() => seen.size, { timeout: 15_000 }).toBeGreaterThan(before + 20);
  },
);

it(
  "what the file refuses of a consumer is told once, and goes on by itself",
  { timeout: 60_000 },
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "sluice-outage-"));
    closers.push(async () => rmSync(dir, { recursive: true, force: true }));
    const { running, seen, loud } = await start({ kind: "embedded", dir });
    const file = new Libsql(join(dir, "sluice.db"), { timeout: 5_000 });
    closers.push(async () => file.close());
    file.exec(
      "CREATE TRIGGER refuse BEFORE UPDATE OF position ON cursors BEGIN SELECT RAISE(FAIL, 'no'); END",
    );
    const trouble = { code: "state.io", fix: expect.stringContaining("Check the disk") as string };
    await expect
      .poll(async () => await running.status(), { timeout: 20_000, interval: 200 })
      .toMatchObject({
        outage: trouble,
        connectors: [{ name: "numbers" }, { name: "collect", state: "failing", error: trouble }],
      });
    await sleep(4_000); // nothing to wait for: what must not happen is that it is told again
    expect(loud).toEqual([expect.stringMatching(/^the queue cannot be used: waiting for it /)]);
    const before = seen.size;
    file.exec("DROP TRIGGER refuse");
    await expect
      .poll(async () => (await running.status()).connectors.map(({ state }) => state), {
        timeout: 30_000,
      })
      .toEqual(["running", "running"]);
    await expect.poll(() => seen.size, { timeout: 15_000 }).toBeGreaterThan(before + 20);
  },
);
