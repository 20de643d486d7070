import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startRedis, type RedisServer } from "../../test/redis-server.ts";
import { openBackend, type Backend } from "../backend.ts";
import type { Pipeline, Place, ResolvedConnector } from "../config/pipeline.ts";
import { defineSink, defineSource, type Config, type ConnectorDefinition } from "../connector.ts";
import { RetryableError } from "../errors.ts";
import { upserted } from "../event.ts";
import { z } from "../index.ts";
import { defaultLeaseMs } from "../queue/options.ts";
import { fakes } from "../testing/index.ts";
import { version } from "../version.ts";
import { openServing, servedBy } from "./catch-up.ts";
import { listProducers } from "./producers.ts";
import { belongingsOf, endSubscription, removeConnector } from "./remove.ts";
import { askSnapshot, pendingRequests } from "./requests.ts";
import { startPipeline } from "./runner.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const { signal } = new AbortController();
const run = { log, signal };
type Remove = NonNullable<ConnectorDefinition<Config>["remove"]>;

function slots(remove?: Remove): Extract<ResolvedConnector, { kind: "source" }> {
  const source = defineSource({
    name: "slots",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    ...(remove && { remove }),
    checkpoint: z.strictObject({}),
    emits: [""],
    capabilities: { deletes: false, snapshotOnRequest: true, replays: true, forgets: false },
    async *read({ signal }) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  return { kind: "source", name: "rows", source, config: {}, to: "t" };
}
const sink = defineSink({
  name: "sink",
  version: "1.0.0",
  summary: "",
  config: z.strictObject({}),
  accepts: [""],
  open: async () => ({ write: async () => {}, close: async () => {} }),
});
const out: ResolvedConnector = {
  kind: "sink",
  name: "out",
  sink,
  config: {},
  from: ["t"],
  transforms: [],
  retry: { attempts: 1, maxDelayMs: 1 },
};

let redis: RedisServer;
let projects = 0;
beforeAll(async () => void (redis = await startRedis()));
afterAll(() => redis.stop());

describe.each(["embedded", "redis"])("on %s", (kind) => {
  let dir = "";
  let backend: Backend;
  let pipeline: Pipeline;
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "sluice-remove-"));
    const place: Place =
      kind === "redis" ? { kind: "redis", url: redis.url } : { kind: "embedded", dir };
    const topics = { t: { partitions: 2, optional: false, maxWaiting: 10 } };
    const project = `remove-${projects++}`;
    pipeline = { project, queue: place, state: place, topics, connectors: [] };
    backend = await openBackend(pipeline, { log });
  });
  afterEach(async () => {
    await backend.close(1_000);
    rmSync(dir, { recursive: true, force: true });
  });
  const scope = (name: string) => backend.state.scope(name);
  const keysOf = async (name: string) => {
    const keys: string[] = [];
    for await (const page of scope(name).state.scan("")) keys.push(...page.map(({ key }) => key));
    return keys;
  };
  const lived = async () => {
    await scope("rows").state.each([
      { key: "checkpoint", value: {} },
      { key: "own/slot", value: "sluice_rows" },
    ]);
    await askSnapshot(scope("rows").state);
  };
  const publish = async (count: number) => {
    const events = Array.from({ length: count }, (_, at) =>
      upserted({
        source: "/rows",
        key: at,
        subject: `${at}`,
        version: version({ epoch: 1, position: 1n, rank: 1, tail: 0 }),
        time: "2026-01-01T00:00:00Z",
        op: "create",
        after: {},
        meta: {},
      }),
    );
    await backend.topics.publish("t", events, { signal });
  };

  it("a source loses what it made at its origin, then checkpoint, requests and state", async () => {
    await lived();
    const seen: unknown[] = [];
    const hook: Remove = async ({ name, state }) => {
      const [slot] = await state.get(["slot"]);
      seen.push(name, slot?.value, await keysOf("rows"));
      // Nobody may begin to read meanwhile.
      seen.push(await scope("rows").leases.acquire("source", defaultLeaseMs));
      return [{ severity: "ok", code: "slots.dropped", message: "slot dropped" }];
    };
    const before = await scope("rows").leases.acquire("source", defaultLeaseMs);
    await before?.release();
    const removed = await removeConnector("rows", slots(hook), backend, run);
    expect(seen).toMatchObject(["rows", "sluice_rows", { length: 3 }, undefined]);
    expect(removed).toMatchObject({
      findings: [{ message: "slot dropped" }],
      requests: 1,
      entries: 3,
      subscriptions: [],
    });
    expect(await keysOf("rows")).toEqual([]);
    // A source of that name begins above all versions that this one gave.
    const after = await scope("rows").leases.acquire("source", defaultLeaseMs);
    expect(after?.token).toBeGreaterThan((before?.token ?? 0) + 1);
    await after?.release();
    expect(await removeConnector("rows", slots(hook), backend, run)).toMatchObject({ entries: 0 });
  });

  it("a source whose origin refuses keeps everything, and says how to go on without it", async () => {
    await lived();
    const failing: readonly Remove[] = [
      async () => {
        throw new RetryableError("the server is away", {
          code: "slots.away",
          reason: "unreachable",
          fix: "Start it.",
        });
      },
      async () => [
        { severity: "error", code: "slots.busy", message: "the slot is in use", fix: "End pid 7." },
      ],
    ];
    for (const hook of failing)
      await expect(removeConnector("rows", slots(hook), backend, run)).rejects.toMatchObject({
        code: "remove.origin",
        message: expect.stringMatching(/rows: nothing was removed: the (server|slot) is/),
        fix: expect.stringMatching(/^(Start it|End pid 7)\.\n.*sluice remove rows$/),
      });
    expect(await keysOf("rows")).toHaveLength(3);
    // Without its config there is no origin to ask.
    await removeConnector("rows", undefined, backend, run);
    expect(await keysOf("rows")).toEqual([]);
  });

  it("a consumer loses its subscriptions with what waits, its dead letters and its state", async () => {
    for (const name of ["out", "stays"]) await backend.topics.subscribe({ topic: "t", name });
    await publish(7);
    await scope("out").state.each([{ key: "own/m/1", value: 1 }]);
    for (const id of ["a", "b"])
      await backend.deadLetters.add({
        id,
        connector: "out",
        stage: "write",
        topic: "t",
        event: fakes.record(id, {}),
        error: { code: "x", message: "x" },
        attempts: 1,
        firstAt: "2026-01-01T00:00:00Z",
        lastAt: "2026-01-01T00:00:00Z",
      });
    const belongings = {
      subscriptions: [{ topic: "t", waiting: 7 }],
      deadLetters: 2,
      requests: 0,
      hasState: true,
    };
    expect(await belongingsOf("out", backend)).toEqual(belongings);
    const { hasState: _, ...counted } = belongings;
    expect(await removeConnector("out", undefined, backend, run)).toEqual({
      ...counted,
      findings: [],
      entries: 1,
    });
    expect(await belongingsOf("out", backend)).toEqual({
      subscriptions: [],
      deadLetters: 0,
      requests: 0,
      hasState: false,
    });
    expect(await backend.topics.subscriptions()).toMatchObject([{ name: "stays", waiting: 7 }]);
  });

  it("nobody catches up a subscription that has ended", async () => {
    await backend.topics.subscribe({ topic: "t", name: "early" });
    const stop = new AbortController();
    const producer = { kind: "source", name: "rows", topic: "t", snapshots: true } as const;
    const { topics, state } = backend;
    const publishing = { producer, topics, state, isOptional: false, log, signal: stop.signal };
    const { begun } = await openServing(publishing, { isAnew: false, asked: () => undefined });
    await begun({ signal });
    await backend.topics.subscribe({ topic: "t", name: "late" });
    const asked = () => pendingRequests(scope("rows").state);
    await expect.poll(async () => (await asked()).length, { timeout: 5_000 }).toBe(1);
    await expect.poll(async () => (await servedBy(scope("rows").state))?.size).toBe(2);
    stop.abort();
    await endSubscription("t", "late", backend);
    expect(await asked()).toEqual([]);
    expect([...((await servedBy(scope("rows").state)) ?? []).keys()]).toEqual(["early"]);
    await removeConnector("rows", undefined, backend, run);
    expect(await listProducers(backend.state)).toEqual([]);
  });

  it("what a process runs is not removed, and the process is named", async () => {
    const admin = { host: "127.0.0.1", port: 0 };
    const running = await startPipeline(
      { ...pipeline, connectors: [slots(), out] },
      { log, admin },
    );
    try {
      for (const name of ["rows", "out"])
        await expect(removeConnector(name, undefined, backend, run)).rejects.toMatchObject({
          code: "connector.running",
          message: `${name}: it is run by pid ${process.pid} on ${hostname()}.`,
        });
    } finally {
      await running.stop(5_000);
    }
    await removeConnector("out", out, backend, run);
    expect(await backend.topics.subscriptions()).toEqual([]);
  });
});
