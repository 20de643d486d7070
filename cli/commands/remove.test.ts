import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runCli, startCli, until, type Cli } from "../run.test.data.ts";

let dir = "";
let cli: Cli | undefined;
const notes = { name: "notes", source: "file", to: "notes", config: { path: "notes" } };
const printing = (name: string) => ({
  name,
  sink: "log",
  from: "notes",
  config: { path: `${name}.ndjson` },
});
const write = (...connectors: object[]) =>
  writeFileSync(join(dir, "sluice.json"), JSON.stringify({ project: "removing", connectors }));
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-remove-"));
  mkdirSync(join(dir, "notes"));
  for (const name of ["a", "b", "c"]) writeFileSync(join(dir, "notes", `${name}.md`), name);
  write(notes, printing("out"), printing("old"));
});
afterEach(async () => {
  cli?.signal("SIGKILL");
  await cli?.ended;
  rmSync(dir, { recursive: true, force: true });
});

const run = (...args: string[]) => runCli(dir, args);
const started = async () => {
  const running = (cli = startCli(dir, ["start"]));
  await until(async () => {
    const { stdout } = await run("subscriptions");
    return /^out .* 0 waiting .* 1 consumer .* live$/m.test(stdout) && /^old .* 1 c/m.test(stdout);
  }, running.stderr);
  return running;
};
const stop = async (signal: NodeJS.Signals) => {
  cli?.signal(signal);
  await cli?.ended;
};

it("lists subscriptions, and ends them one by one or with all of a connector", async () => {
  await started();
  const listed = JSON.parse(
    (await run("subscriptions", "sluice.json", "--json")).stdout,
  ) as unknown;
  expect(listed).toMatchObject({
    result: {
      project: "removing",
      subscriptions: [
        { topic: "notes", name: "old", waiting: 0, consumers: 1, state: "live" },
        { name: "out" },
      ],
    },
  });
  await stop("SIGTERM");
  write(notes, printing("out")); // old is gone from the files: nobody consumes it any more
  const without = (cli = startCli(dir, ["start"]));
  const printed = () =>
    /sluice (subscriptions remove old --topic notes [^"]*)/.exec(without.stderr());
  await until(() => printed() !== null, without.stderr);
  for (const name of ["d", "e"]) writeFileSync(join(dir, "notes", `${name}.md`), name);
  const orphan = () => run("subscriptions").then(({ stdout }) => stdout);
  await until(
    async () => /^old .* 2 waiting .* 0 consumers/m.test(await orphan()),
    () => "",
  );

  const words = printed()?.[1]?.split(" ") ?? [];
  const ended = await runCli(tmpdir(), [...words, "--yes"]);
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  expect(ended.stdout).toBe("✓ subscription old of notes ended: 2 waiting events dropped\n");
  expect(await orphan()).not.toContain("old");
  const again = await run("subscriptions", "remove", "old", "--json", "--yes");
  expect(again.code).toBe(2);
  expect(JSON.parse(again.stdout)).toMatchObject({
    command: "subscriptions",
    error: { code: "cli.unknown-name" },
  });
});

it(
  "refuses what runs, waits for what died, and then leaves nothing",
  { timeout: 60_000 },
  async () => {
    const running = await started();
    for (const args of [
      ["remove", "out"],
      ["remove", "notes"],
      ["subscriptions", "remove", "out"],
    ]) {
      const refused = await run(...args, "--yes");
      expect(refused).toMatchObject({ code: 1, stdout: "" });
      expect(refused.stderr).toMatch(/connector\.running\n.*it is run by pid \d+ on .*\n +→ Stop/);
    }
    await stop("SIGKILL"); // its leases go on for 10 s
    const removed = await run("remove", "notes", "--yes");
    expect(removed.stderr).toContain("waiting for what a process that died still holds");
    expect(removed.stdout).toMatch(
      /^✓ notes is removed\n {2}checkpoint and state: \d+ entries deleted\n$/,
    );
    expect((await run("remove", "out", "--yes")).stdout).toContain(
      "subscription of notes ended: nothing waited",
    );
    expect((await run("subscriptions")).stdout).not.toContain("out");
    expect(running.stderr()).toContain("source started");
  },
);

it("removes one that is no longer in the files, by its queue alone", async () => {
  await started();
  await stop("SIGTERM");
  const queue = ["--queue", `embedded:${join(dir, ".sluice")}`, "--project", "removing"];
  rmSync(join(dir, "sluice.json"));
  const { code, stdout } = await run("remove", "old", ...queue, "--yes", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    command: "remove",
    ok: true,
    // What was in its hands when it was told to stop may wait again.
    result: { name: "old", isInFiles: false, subscriptions: [{ topic: "notes" }] },
  });
  const unknown = await run("remove", "odl", ...queue, "--yes");
  expect(unknown.code).toBe(2);
  expect(unknown.stderr).toContain("nothing is kept of one");
});

it("asks first, and without anybody to ask does nothing", async () => {
  for (const args of [
    ["remove", "notes"],
    ["remove", "notes", "--json"],
  ]) {
    const { code, stdout, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stdout + stderr).toContain("cli.unconfirmed");
    expect(stdout + stderr).toContain("Add --yes.");
  }
});
