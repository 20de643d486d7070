import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openBackend } from "../backend.ts";
import type { Pipeline, ResolvedConnector } from "../config/pipeline.ts";
import {
  defineSink,
  defineSource,
  defineTransform,
  type Config,
  type ConnectorDefinition,
} from "../connector.ts";
import { RetryableError } from "../errors.ts";
import { z } from "../index.ts";
import { checkPipeline } from "./check.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const scrub = (text: string) => text.replaceAll("hush", "***");
type Check = NonNullable<ConnectorDefinition<Config>["check"]>;

let dir = "";
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "sluice-check-"))));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const common = { version: "1.0.0", summary: "", config: z.strictObject({}) };
function source(name: string, check?: Check): Extract<ResolvedConnector, { kind: "source" }> {
  const definition = defineSource({
    name,
    ...common,
    ...(check && { check }),
    checkpoint: z.strictObject({ next: z.number() }),
    emits: [""],
    capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
    async *read() {},
  });
  return { kind: "source", name, source: definition, config: {}, to: "t" };
}
const pipelineOf = (connectors: readonly ResolvedConnector[], where = dir): Pipeline => {
  const place = { kind: "embedded", dir: where } as const;
  const topics = { t: { partitions: 1, optional: false, maxWaiting: 10 } };
  return { project: "p", queue: place, state: place, topics, connectors };
};
const codes = async (pipeline: Pipeline, withinMs = 1_000) => {
  const groups = await checkPipeline(pipeline, { log, scrub, withinMs });
  return Object.fromEntries(
    groups.map(({ name, findings }) => [name, findings.map((f) => f.code)]),
  );
};

it("asks every connector, each on its own, and tells what they found without secrets", async () => {
  const ready: Check = async ({ name }) => [
    { severity: "ok", code: "test.ready", message: `${name} knows hush`, fix: "hush" },
  ];
  const refused: Check = async () => {
    throw new RetryableError("refused", {
      code: "test.refused",
      reason: "refused",
      fix: "Log in.",
    });
  };
  const broken: Check = async () => {
    throw new TypeError("x is not a function");
  };
  const silent: Check = () => new Promise(() => {});
  const groups = await checkPipeline(
    pipelineOf([
      source("ready", ready),
      source("refused", refused),
      source("broken", broken),
      source("silent", silent),
      source("none"),
    ]),
    { log, scrub, withinMs: 200 },
  );
  expect(
    groups.map(({ name, kind, findings: [one] }) => [name, kind, one?.severity, one?.code]),
  ).toEqual([
    ["queue", "queue", "ok", "embedded.ready"],
    ["ready", "source", "ok", "test.ready"],
    ["refused", "source", "error", "test.refused"],
    ["broken", "source", "error", "check.failed"],
    ["silent", "source", "error", "check.timeout"],
    ["none", "source", "ok", "check.none"],
  ]);
  expect(groups[1]?.findings[0]).toMatchObject({ message: "ready knows ***", fix: "***" });
  expect(groups[2]?.findings[0]).toMatchObject({ message: "refused", fix: "Log in." });
  expect(groups[3]?.findings[0]?.message).toContain("TypeError: x is not a function");
});

it("asks them side by side, and tells one that is late to end", async () => {
  const aborted: string[] = [];
  const slow: Check = async ({ name, signal }) => {
    await sleep(3_600_000, undefined, { signal }).catch(() => aborted.push(name));
    return [];
  };
  const all = Array.from({ length: 10 }, (_, at) => source(`s${at}`, slow));
  const before = performance.now();
  await codes(pipelineOf(all), 300);
  expect(performance.now() - before).toBeLessThan(1_500);
  await expect.poll(() => aborted.length).toBe(10);
});

it("shows a check the real state, and lets it write none", async () => {
  const pipeline = pipelineOf([]);
  const backend = await openBackend(pipeline, { log });
  await backend.state.scope("looks").state.each([{ key: "own/slot", value: "s" }]);
  await backend.close(1_000);
  const seen: unknown[] = [];
  const looks: Check = async ({ state }) => {
    const [slot] = await state.get(["slot"]);
    for await (const page of state.scan("")) seen.push(...page.map(({ key }) => key));
    seen.push(slot?.value);
    await state.each([{ key: "slot", value: "changed" }]);
    return [];
  };
  expect(await codes(pipelineOf([source("looks", looks)]))).toMatchObject({
    looks: ["check.writes"],
  });
  expect(seen).toEqual(["slot", "s"]);
});

it("leaves no trace where nothing ran before, and says that there will be one", async () => {
  const where = join(dir, "new/.sluice");
  const looks: Check = async ({ state }) => {
    expect(await state.get(["a"])).toEqual([undefined]);
    for await (const page of state.scan("")) throw new Error(`there is ${page.length}`);
    return [];
  };
  expect(await codes(pipelineOf([source("looks", looks)], where))).toEqual({
    queue: ["embedded.new"],
    looks: [],
  });
  expect(existsSync(join(dir, "new"))).toBe(false);
  writeFileSync(join(dir, "file"), "");
  expect(await codes(pipelineOf([], join(dir, "file/.sluice")))).toEqual({
    queue: ["state.directory-unwritable"],
  });
});

it("asks inline transforms too, but not those without a check for an excuse", async () => {
  const transform = (name: string, check?: Check) => ({
    use: name,
    config: {},
    configHash: "0",
    transform: defineTransform({
      name,
      ...common,
      ...(check && { check }),
      accepts: [""],
      emits: [""],
      open: async () => ({ apply: async (events) => events }),
    }),
  });
  const found: Check = async () => [{ severity: "warning", code: "test.model", message: "old" }];
  const retry = { attempts: 1, maxDelayMs: 1 };
  const stages = [transform("plain"), transform("embeds", found)];
  const sink = defineSink({
    name: "sink",
    ...common,
    accepts: [""],
    open: async () => ({ write: async () => {}, close: async () => {} }),
  });
  const consumer = { from: ["t"], retry } as const;
  expect(
    await codes(
      pipelineOf([
        { kind: "sink", name: "out", sink, config: {}, transforms: stages, ...consumer },
        { kind: "transform", name: "plain", to: "u", transforms: [transform("x")], ...consumer },
        { kind: "transform", name: "tells", to: "u", transforms: stages, ...consumer },
      ]),
    ),
  ).toMatchObject({
    out: ["test.model", "check.none"],
    plain: ["check.none"],
    tells: ["test.model"],
  });
});

it("knows of checkpoints that do not fit, and of subscriptions that nobody consumes", async () => {
  const backend = await openBackend(pipelineOf([]), { log });
  await backend.state.scope("moved").state.each([{ key: "checkpoint", value: { lsn: "0/1" } }]);
  await backend.topics.subscribe({ topic: "t", name: "old-name" });
  await backend.close(1_000);
  const groups = await checkPipeline(pipelineOf([source("moved")]), { log, scrub });
  expect(groups.map(({ findings }) => findings.map(({ code }) => code))).toEqual([
    ["embedded.ready", "queue.orphan"],
    ["source.checkpoint-invalid", "check.none"],
  ]);
  expect(groups[0]?.findings[1]?.fix).toContain("sluice subscriptions remove old-name");
});
