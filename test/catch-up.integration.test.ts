import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { runCli, startCli, type Cli } from "../cli/run.test.data.ts";
import { openBackend } from "../core/backend.ts";
import type { Place } from "../core/config/pipeline.ts";
import { isRecordChange, type RecordChange, type SluiceEvent } from "../core/event.ts";
import { inScope } from "../core/queue/partition.ts";
import { servedBy } from "../core/runtime/catch-up.ts";
import type { StatusReport } from "../core/runtime/read-status.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";

// Real processes, a real folder: whoever subscribes late ends with the same records as who was there first.

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis(["--appendonly", "yes", "--maxmemory-policy", "noeviction"]);
});
afterAll(() => redis.stop());

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
let dir = "";
const processes: Cli[] = [];
let projects = 0;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-catch-up-"));
  await mkdir(join(dir, "notes"));
});
afterEach(async () => {
  for (const one of processes) one.signal("SIGKILL");
  await Promise.all(processes.splice(0).map(({ ended }) => ended));
  await rm(dir, { recursive: true, force: true });
});

describe.each(["embedded", "redis"])("a late subscription on %s", (kind) => {
  let project = "";
  beforeEach(() => (project = `late-${process.pid}-${projects++}`));

  /** A config file of its own, so of a process of its own. */
  const file = async (name: string, ...connectors: object[]) => {
    const queue = kind === "redis" ? redis.url : "embedded";
    await writeFile(join(dir, `${name}.json`), JSON.stringify({ project, queue, connectors }));
    return `${name}.json`;
  };
  const start = (...files: string[]) => {
    const cli = startCli(dir, ["start", ...files]);
    processes.push(cli);
    return cli;
  };
  const status = async (...files: string[]) => {
    const { stdout } = await runCli(dir, ["status", ...files, "--json"]);
    return (JSON.parse(stdout) as { readonly result: StatusReport }).result;
  };
  const standing = async (name: string, file: string) =>
    (await status(file)).subscriptions.find((one) => one.name === name)?.state;

  const notes = { name: "notes", source: "file", to: "notes", config: { path: "notes" } };
  const printing = (name: string, from = "notes") => ({
    name,
    sink: "log",
    from,
    config: { path: `${name}.ndjson` },
  });
  const put = (name: string, text: string) => writeFile(join(dir, "notes", name), text);
  const fill = async (count: number) => {
    for (let n = 0; n < count; n++) await put(`${n}.md`, `note ${n}`);
  };

  it("gets under load what the first one has", { timeout: 120_000 }, async () => {
    await fill(300);
    const sources = await file("sources", notes, printing("early"));
    const sinks = await file("sinks", printing("late"));
    start(sources);
    await eventually(async () => held("early").size === 300, "the first snapshot");

    const over = new AbortController();
    const writing = (async () => {
      for (let n = 0; !over.signal.aborted; n = (n + 1) % 300) {
        if (n % 7 === 3) await rm(join(dir, "notes", `${n}.md`), { force: true });
        else await put(`${n % 5 === 0 ? `new-${n}` : n}.md`, `changed ${performance.now()}`);
        await sleep(10);
      }
    })();
    try {
      start(sinks);
      await eventually(async () => held("late").size > 0, "something to arrive late");
      await eventually(async () => (await standing("late", sinks)) === "live", "its end");
    } finally {
      over.abort();
      await writing;
    }
    await eventually(
      async () => isEqual(held("early"), await onDisk()),
      "the early one to be right",
    );
    await eventually(async () => isEqual(held("late"), await onDisk()), "the late one to be right");
    expect(audiences("early")).toEqual(["undefined"]);
    expect(audiences("late")).toContain("late");
  });

  it("is caught up although everybody dies in the middle", { timeout: 180_000 }, async () => {
    await fill(2_000);
    const sources = await file("sources", notes, printing("early"));
    const sinks = await file("sinks", printing("late"));
    const first = start(sources);
    await eventually(async () => held("early").size === 2_000, "the first snapshot");
    const second = start(sinks);
    await eventually(async () => held("late").size > 0, "the catch-up to begin");
    for (const one of [first, second]) one.signal("SIGKILL");
    await Promise.all([first.ended, second.ended]);
    expect(await standing("late", sinks)).toBe("catching-up");
    await rm(join(dir, "notes", "17.md"));
    await put("18.md", "changed while nobody looked");

    start(sources);
    const third = start(sinks);
    await eventually(async () => (await standing("late", sinks)) === "live", "its end");
    await eventually(async () => isEqual(held("late"), await onDisk()), "the late one to be right");
    await eventually(async () => isEqual(held("early"), await onDisk()), "the early one too");
    const lines = (await runCli(dir, ["status", sinks])).stdout;
    expect(lines).toMatch(/late +sink log +running .* 0 waiting, live/);
    third.signal("SIGTERM");
    expect((await third.ended).code).toBe(0);
  });

  it("that began while nothing was published has missed nothing", { timeout: 60_000 }, async () => {
    await fill(20);
    const source = start(await file("sources", notes));
    await eventually(async () => /no subscription/.test(source.stderr()), "the source to wait");
    start(await file("sinks", printing("late")));
    await eventually(async () => held("late").size === 20, "everything");
    const place: Place =
      kind === "redis"
        ? { kind: "redis", url: redis.url }
        : { kind: "embedded", dir: join(dir, ".sluice") };
    const pipeline = { project, queue: place, state: place, topics: {}, connectors: [] };
    const backend = await openBackend(pipeline, { log });
    const served = await servedBy(backend.state.scope("notes").state);
    expect(served?.get("late")).toMatchObject({ requests: [] });
    await backend.close(1_000);
  });

  it("behind transforms of their own is caught up through them", { timeout: 120_000 }, async () => {
    await fill(300);
    const keep = (name: string, from: string, to: string) => ({
      name,
      transform: "filter",
      from,
      to,
      config: { where: { mediaType: "text/markdown" } },
    });
    const sources = await file(
      "sources",
      notes,
      keep("first", "notes", "once"),
      keep("second", "once", "twice"),
      printing("early", "twice"),
    );
    const sinks = await file("sinks", printing("late", "twice"));
    start(sources);
    await eventually(async () => held("early").size === 300, "the first snapshot");
    start(sinks);
    await eventually(async () => isEqual(held("late"), await onDisk()), "the late one to be right");
    await eventually(async () => (await standing("late", sinks)) === "live", "its end");
    // A transform that joins late brings what it missed to all behind it.
    const more = await file("more", keep("third", "once", "thrice"), printing("last", "thrice"));
    start(more);
    await eventually(async () => isEqual(held("last"), await onDisk()), "the last one to be right");
    expect(audiences("early")).toEqual(["undefined"]);
    expect(audiences("last")).toEqual(["undefined"]);
    await put("news.md", "for all");
    for (const name of ["early", "late", "last"])
      await eventually(async () => isEqual(held(name), await onDisk()), `news to ${name}`);
  });

  it(
    "is partial where the source takes no snapshots, and stays so",
    { timeout: 60_000 },
    async () => {
      await writeFile(join(dir, "ticks.mjs"), ticks);
      const source = { name: "ticks", source: "./ticks.mjs", to: "ticks" };
      start(await file("sources", source, printing("early", "ticks")));
      await eventually(async () => held("early").size === 5, "what there is");
      const sinks = await file("sinks", printing("late", "ticks"));
      const before = new Date().toISOString();
      start(sinks);
      await eventually(async () => (await standing("late", sinks)) === "partial", "partial");
      const { subscriptions } = await status(sinks);
      const { since = "" } = subscriptions.find(({ name }) => name === "late") ?? {};
      expect(since >= before && since <= new Date().toISOString()).toBe(true);
      expect(subscriptions.find(({ name }) => name === "early")?.state).toBe("live");
      const lines = (await runCli(dir, ["status", sinks])).stdout;
      expect(lines).toContain(`partial since ${since.slice(0, 16).replace("T", " ")}`);
    },
  );

  const onDisk = async () => {
    const names = await readdir(join(dir, "notes"));
    const texts = await Promise.all(
      names.map((name) => readFile(join(dir, "notes", name), "utf8").catch(() => undefined)),
    );
    return new Map(names.map((name, at) => [name, texts[at]]));
  };
});

const ticks = `
import { defineSource, upserted, z } from "${new URL("../core/index.js", import.meta.url).href}";
export const ticks = defineSource({
  name: "ticks", version: "1.0.0", summary: "Counts.", config: z.strictObject({}),
  checkpoint: z.strictObject({}), emits: ["dev.sluice.record."],
  capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
  async *read({ nextVersion, signal }) {
    const change = (n) => ({ source: "/ticks", subject: String(n), key: n, op: "create", after: { text: "t" }, meta: {},
      time: new Date().toISOString(), version: nextVersion() });
    yield { events: [1, 2, 3, 4, 5].map((n) => upserted(change(n))), checkpoint: {} };
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
  },
});`;

function written(name: string): readonly SluiceEvent[] {
  let lines: readonly string[];
  try {
    lines = readFileSync(join(dir, `${name}.ndjson`), "utf8").split("\n");
  } catch {
    return []; // nothing yet
  }
  // Its last line is empty, or being written.
  return lines.slice(0, -1).flatMap((line) => (line.startsWith("{") ? [parsed(line)] : []));
}

/** A process that was killed may have left half a line, with the next one behind it. */
function parsed(line: string): SluiceEvent {
  try {
    return JSON.parse(line) as SluiceEvent;
  } catch {
    return JSON.parse(line.slice(line.lastIndexOf('{"specversion"'))) as SluiceEvent;
  }
}

/** What a sink that was told this holds: the newest of each record, clears applied. */
function held(name: string): ReadonlyMap<string, string | undefined> {
  const newest = new Map<string, RecordChange>();
  for (const event of written(name).filter(isRecordChange)) {
    if (event.type !== "dev.sluice.collection.cleared") {
      if ((newest.get(event.subject)?.sequence ?? "") <= event.sequence)
        newest.set(event.subject, event);
      continue;
    }
    for (const [subject, one] of newest)
      if (one.sequence < event.data.below && inScope(one.partitionkey, event.data.scope))
        newest.delete(subject);
  }
  const texts = new Map<string, string | undefined>();
  for (const [subject, { data }] of newest)
    if ("after" in data) texts.set(subject, data.after?.["text"] as string | undefined);
  return texts;
}

function audiences(name: string): readonly string[] {
  return [...new Set(written(name).map(({ audience }) => String(audience)))];
}

function isEqual(
  a: ReadonlyMap<string, string | undefined>,
  b: ReadonlyMap<string, string | undefined>,
): boolean {
  return a.size === b.size && [...a].every(([key, text]) => b.get(key) === text);
}

async function eventually(isTrue: () => Promise<boolean>, what: string, withinMs = 60_000) {
  const deadline = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline)
      throw new Error(
        `not within ${withinMs} ms: ${what}\n${processes.map((one) => one.stderr().slice(-1_500)).join("\n")}`,
      );
    await sleep(250);
  }
}
