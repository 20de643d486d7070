import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeFolder, pipeline, runCli, startCli, until, type Cli } from "../run.test.data.ts";

let dir = "";
let cli: Cli | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-snapshot-"));
  mkdirSync(join(dir, "notes"));
  for (const name of ["a", "b", "c"]) writeFileSync(join(dir, "notes", `${name}.md`), name);
  const connectors = [
    { name: "notes", source: "file", to: "notes", config: { path: "notes" } },
    { name: "out", sink: "log", from: "notes", config: { path: "out.ndjson" } },
  ];
  writeFileSync(join(dir, "sluice.json"), JSON.stringify({ project: "snapshots", connectors }));
});
afterEach(async () => {
  cli?.signal("SIGTERM");
  await cli?.ended;
  rmSync(dir, { recursive: true, force: true });
});

const run = (...args: string[]) => runCli(dir, ["snapshot", ...args]);
const start = () => (cli = startCli(dir, ["start"]));
const written = () => readFileSync(join(dir, "out.ndjson"), "utf8").match(/"op":"read"/g)?.length;

it("waits until everything was read again", async () => {
  const running = start();
  await until(() => /source started/.test(running.stderr()), running.stderr);
  const { code, stdout, stderr } = await run("notes", "--wait");
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.any(String) });
  expect(stdout).toMatch(/^✓ snapshot of notes done in \d+\.\d s\n$/);
  await until(() => written() === 6, running.stderr); // at first and again
});

it("is kept until a process reads the source, and is not asked twice until then", async () => {
  const first = JSON.parse((await run("notes", "sluice.json", "--json")).stdout) as {
    readonly result: { readonly id: string };
  };
  expect(first).toMatchObject({ ok: true, result: { source: "notes", isNew: true } });
  const again = JSON.parse((await run("notes", "--json")).stdout) as unknown;
  expect(again).toMatchObject({ result: { id: first.result.id, isNew: false, isDone: false } });
  expect((await run("notes")).stdout).toContain("already, and has not begun");
  const waiting = startCli(dir, ["snapshot", "notes", "--wait", "--json"]);
  const running = start();
  const { code, stdout } = await waiting.ended;
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ result: { id: first.result.id, isDone: true } });
  await until(() => written() === 6, running.stderr);
});

it("says what it waits for", async () => {
  const waiting = startCli(dir, ["snapshot", "notes", "--wait"]);
  await until(() => waiting.stderr().includes("no process reads it now"), waiting.stderr);
  waiting.signal("SIGINT");
  await waiting.ended;
});

it("asks for some tables only", async () => {
  const { stdout } = await run("notes", "--table", "b", "--table", "a", "--json");
  expect(JSON.parse(stdout)).toMatchObject({ result: { collections: ["a", "b"] } });
});

it("can be taken back until it is done", async () => {
  await run("notes");
  await run("notes", "--table", "a");
  const waiting = startCli(dir, ["snapshot", "notes", "--wait"]);
  await until(() => waiting.stderr() !== "", waiting.stderr);
  expect((await run("notes", "--cancel")).stdout).toMatch(/^✓ 2 of notes forgotten;/);
  const { stdout } = await run("notes", "--cancel", "--json");
  expect(JSON.parse(stdout)).toMatchObject({ result: { source: "notes", cancelled: [] } });
  const told = await waiting.ended;
  expect(told).toMatchObject({ code: 1, stdout: "" });
  expect(told.stderr).toContain("the snapshot is not taken: it was cancelled");
  const both = await run("notes", "--cancel", "--wait");
  expect(both).toMatchObject({ code: 2, stdout: "" });
});

it("is refused where it cannot be had", async () => {
  const folder = makeFolder();
  writeFileSync(join(folder.dir, "sluice.json"), pipeline());
  const told = async (name: string) => await runCli(folder.dir, ["snapshot", name]);
  const unable = await told("ticks");
  expect(unable.code).toBe(2);
  expect(unable.stderr).toContain("ticks: a ticks source takes no snapshots on request.");
  const sink = await told("out");
  expect(sink).toMatchObject({ code: 2 });
  expect(sink.stderr).toContain('"out" is a sink, not a source.');
  expect((await told("tick")).stderr).toContain("Write ticks.");
  folder.remove();
});
