import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runCli, startCli, until, type Cli } from "../run.test.data.ts";

const core = new URL("../../core/index.js", import.meta.url).href;
/** One number every 10 ms, from the checkpoint on. */
const steady = `
import { setTimeout as sleep } from "node:timers/promises";
import { defineSource, upserted, version, z } from "${core}";
export const steady = defineSource({
  name: "steady", version: "1.0.0", summary: "Counts.", config: z.strictObject({}),
  checkpoint: z.strictObject({ n: z.int().min(0) }),
  emits: ["dev.sluice.record."],
  capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
  async *read({ checkpoint, signal }) {
    for (let n = (checkpoint?.n ?? 0) + 1; !signal.aborted; n++) {
      const change = { source: "/steady", subject: String(n), key: n, op: "create", after: { n }, meta: {} };
      const time = new Date().toISOString();
      yield { events: [upserted({ ...change, time, version: version({ epoch: 1, position: BigInt(n), rank: 1, tail: 0 }) })], checkpoint: { n } };
      await sleep(10);
    }
  },
});`;
/** Appends numbers to its file; cannot open until the file \`mended\` is there, if it is to be \`broken\`. */
const lines = `
import { appendFileSync, existsSync } from "node:fs";
import { ConfigError, defineSink, z } from "${core}";
export const lines = defineSink({
  name: "lines", version: "1.0.0", summary: "Writes lines.",
  config: z.strictObject({ path: z.string(), broken: z.boolean().default(false) }), accepts: [""],
  open: async ({ config }) => {
    if (config.broken && !existsSync("mended"))
      throw new ConfigError("lines: broken.", { code: "lines.broken", fix: "Mend it." });
    return {
      write: async (events) => appendFileSync(config.path, events.map(({ subject }) => subject + "\\n").join("")),
      close: async () => {},
    };
  },
});`;

let dir = "";
const running: Cli[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-lifecycle-"));
  writeFileSync(join(dir, "steady.mjs"), steady);
  writeFileSync(join(dir, "lines.mjs"), lines);
  configure();
});
afterEach(async () => {
  for (const cli of running.splice(0)) {
    cli.signal("SIGKILL");
    await cli.ended;
  }
  rmSync(dir, { recursive: true, force: true });
});

function configure(over: { readonly out?: object; readonly other?: object } = {}): void {
  const connectors = [
    { name: "numbers", source: "./steady.mjs", to: "numbers" },
    { name: "out", sink: "./lines.mjs", from: "numbers", config: { path: "out.txt" }, ...over.out },
    {
      name: "other",
      sink: "./lines.mjs",
      from: "numbers",
      config: { path: "other.txt" },
      ...over.other,
    },
  ];
  const topics = { numbers: { partitions: 1 } };
  writeFileSync(
    join(dir, "sluice.json"),
    JSON.stringify({ project: "lifecycle", topics, connectors }),
  );
}

function start(...more: readonly string[]): Cli {
  const cli = startCli(dir, ["start", ...more]);
  running.push(cli);
  return cli;
}

const written = (file = "out.txt"): readonly number[] =>
  existsSync(join(dir, file))
    ? readFileSync(join(dir, file), "utf8").split("\n").slice(0, -1).map(Number)
    : [];
const grows = async (cli: Cli, file = "out.txt") => {
  const before = written(file).length;
  await until(() => written(file).length > before + 3, cli.stderr);
};

interface Answer {
  readonly code: number | null;
  readonly ok: boolean;
  // oxlint-disable-next-line typescript/no-explicit-any -- what a command answers, looked at by path
  readonly result?: any;
  readonly error?: { readonly code: string; readonly message: string; readonly fix?: string };
}

async function run(...args: readonly string[]): Promise<Answer> {
  const { code, stdout, stderr } = await runCli(dir, [...args, "--json"]);
  if (stdout === "") throw new Error(stderr);
  return { code, ...(JSON.parse(stdout) as Omit<Answer, "code">) };
}

const stateOf = async (name: string): Promise<string> => {
  const { result } = await run("status");
  return result.processes[0].connectors.find((one: { name: string }) => one.name === name).state;
};

it("pause holds one connector in every process, over restarts, until resume; the others go on", async () => {
  const [one, two] = [start(), start()];
  await grows(one);
  await until(async () => (await run("status")).result.processes.length === 2, two.stderr);
  const { result } = await run("pause", "out");
  expect(result.processes.map(({ state }: { state: string }) => state)).toEqual([
    "paused",
    "paused",
  ]);
  const before = written().length;
  await grows(one, "other.txt");
  expect(written().length).toBeLessThanOrEqual(before + 1); // what was in its hands

  for (const cli of [one, two]) {
    cli.signal("SIGTERM");
    expect((await cli.ended).code).toBe(0);
  }
  const stopped = written().length;
  const again = start();
  await grows(again, "other.txt");
  expect(written().length).toBe(stopped);
  expect((await run("resume", "out")).result.wanted).toBe("running");
  await grows(again);
  expect(new Set(written())).toEqual(new Set(Array.from(new Set(written()), (_, at) => at + 1)));
});

it("a paused source is not asked for more, and one that is to begin paused does not begin", async () => {
  configure({ other: { initialState: "paused" } });
  const cli = start();
  await grows(cli);
  expect(written("other.txt")).toEqual([]);
  await run("pause", "numbers");
  await until(async () => (await stateOf("numbers")) === "paused", cli.stderr);
  await until(async () => {
    const { result } = await run("subscriptions");
    return result.subscriptions.every(
      (s: { name: string; waiting: number }) => s.name === "other" || s.waiting === 0,
    );
  }, cli.stderr);
  const held = written().length;
  await run("resume", "other");
  await until(() => written("other.txt").length === held, cli.stderr);
  expect(written().length).toBe(held);
});

it("a checkpoint is shown, and changed only while its source is stopped", async () => {
  const cli = start();
  await grows(cli);
  expect((await run("checkpoint", "show", "numbers")).result.checkpoint.n).toBeGreaterThan(0);
  const refused = await run("checkpoint", "reset", "numbers", "--yes");
  expect(refused).toMatchObject({ code: 1, error: { code: "connector.running" } });
  expect(refused.error?.fix).toContain("sluice stop numbers");

  expect((await run("stop", "numbers")).result.processes[0].state).toBe("stopped");
  const wrong = await run("checkpoint", "set", "numbers", '{"m":1}', "--yes");
  expect(wrong).toMatchObject({ code: 2, error: { code: "source.checkpoint-invalid" } });
  expect((await run("checkpoint", "set", "numbers", '{"n":5000}', "--yes")).ok).toBe(true);
  await run("resume", "numbers");
  await until(() => written().includes(5_001), cli.stderr);

  await run("stop", "numbers");
  const ones = written().filter((n) => n === 1).length;
  expect((await run("checkpoint", "reset", "numbers", "--yes")).ok).toBe(true);
  expect((await run("checkpoint", "show", "numbers")).result.checkpoint).toBe(null);
  await run("resume", "numbers");
  await until(() => written().filter((n) => n === 1).length === ones + 1, cli.stderr);
});

it("a connector that fails takes no other down, and restart tries it again at once", async () => {
  configure({ out: { config: { path: "out.txt", broken: true } } });
  const cli = start();
  await grows(cli, "other.txt");
  await until(async () => (await stateOf("out")) === "failed", cli.stderr);
  expect(cli.stderr()).toContain("lines.broken");
  writeFileSync(join(dir, "mended"), "");
  expect((await run("restart", "out")).ok).toBe(true);
  await until(() => written().length > 0, cli.stderr);
  expect(written().slice(0, 3)).toEqual([1, 2, 3]);
});

it("names the connector that is nearest to one that is not there", async () => {
  expect(await run("pause", "nubmers")).toMatchObject({
    code: 2,
    error: { code: "cli.unknown-name", fix: "Write numbers." },
  });
});

it.each([
  ["tap", "nubmers"],
  ["publish", "nubmers", "events.json"],
])("%s names the topic that is nearest to one that is not there", async (...args) => {
  writeFileSync(join(dir, "events.json"), "[]");
  expect(await run(...args)).toMatchObject({
    code: 2,
    error: { code: "cli.unknown-name", fix: "Write numbers." },
  });
});

it("a stopped connector can be removed while its process runs, and stays away", async () => {
  const cli = start();
  await grows(cli);
  await run("stop", "out");
  expect((await run("remove", "out", "--yes")).ok).toBe(true);
  const gone = written().length;
  await grows(cli, "other.txt");
  expect(written().length).toBe(gone);
  expect(await stateOf("out")).toBe("stopped");
});

it("tap shows what is published, publish publishes, and neither subscribes", async () => {
  const cli = start();
  await grows(cli);
  await run("stop", "numbers");
  const tap = startCli(dir, ["tap", "numbers", "--count", "2", "--json"]);
  running.push(tap);
  const events = [7_001, 7_002].map((n) => ({
    specversion: "1.0",
    id: `note-${n}`,
    source: "/notes",
    type: "com.example.note",
    subject: String(n),
  }));
  writeFileSync(join(dir, "events.json"), JSON.stringify(events));
  // The tap has no sign for being ready but what it sees: so until it has seen enough.
  await until(async () => {
    expect((await run("publish", "numbers", "events.json")).ok).toBe(true);
    return tap.stdout().split("\n").length > 2;
  }, tap.stderr);
  expect((await tap.ended).code).toBe(0);
  const ids = tap
    .stdout()
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { id: string }).id);
  expect(ids).toEqual(["note-7001", "note-7002"]);
  await until(() => written().includes(7_002), cli.stderr);
  const { result } = await run("subscriptions");
  expect(result.subscriptions.map(({ name }: { name: string }) => name)).toEqual(["other", "out"]);
});

it.each([
  ["no JSON", "{", "cli.no-event"],
  ["no event", '{"id":"1"}', "cli.no-event"],
])("publish refuses %s", async (_, text, code) => {
  writeFileSync(join(dir, "events.json"), text);
  expect(await run("publish", "numbers", "events.json")).toMatchObject({
    code: 2,
    error: { code },
  });
});
