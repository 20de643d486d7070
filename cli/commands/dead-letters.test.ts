import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runCli, startCli, until, type Cli } from "../run.test.data.ts";

const core = new URL("../../core/index.js", import.meta.url).href;
/**
 * Writes what it gets to out.txt; refuses texts that say "bad" until the file `mended` is there. Where a file says so, the
 * process dies with that text, before it is written or after.
 */
const picky = `
import { appendFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import { defineSink, PartialError, PoisonError, z } from "${core}";
const dieWith = (moment) => {
  if (!existsSync("dies") || readFileSync("dies", "utf8") !== moment) return;
  rmSync("dies");
  process.kill(process.pid, "SIGKILL");
};
export const picky = defineSink({
  name: "picky", version: "1.0.0", summary: "Refuses.", config: z.strictObject({}), accepts: ["dev.sluice.record."],
  open: () => ({
    write: async (events) => {
      const bad = new Map();
      for (const [at, event] of events.entries()) {
        const text = event.data.after?.text ?? "(gone)";
        if (text.includes("bad") && !existsSync("mended"))
          bad.set(at, new PoisonError("picky: " + text + " is bad.", { code: "picky.bad", fix: "Mend it." }));
        else {
          dieWith("before " + text);
          appendFileSync("out.txt", event.subject + " " + text + "\\n");
          dieWith("after " + text);
        }
      }
      if (bad.size > 0) throw new PartialError("picky: some are bad.", { code: "picky.some", failures: bad });
    },
    close: async () => {},
  }),
});`;

let dir = "";
let cli: Cli | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-letters-"));
  mkdirSync(join(dir, "notes"));
  writeFileSync(join(dir, "picky.mjs"), picky);
  writeFileSync(join(dir, "out.txt"), "");
  const connectors = [
    { name: "notes", source: "file", to: "notes", config: { path: "notes", settleMs: 60 } },
    { name: "out", sink: "./picky.mjs", from: "notes" },
  ];
  writeFileSync(join(dir, "sluice.json"), JSON.stringify({ project: "letters", connectors }));
});

const configure = (more: object) => {
  const file = JSON.parse(readFileSync(join(dir, "sluice.json"), "utf8")) as {
    connectors: object[];
  };
  const [notes, out] = file.connectors;
  file.connectors = [notes ?? {}, { ...out, ...more }];
  writeFileSync(join(dir, "sluice.json"), JSON.stringify(file));
};
afterEach(async () => {
  cli?.signal("SIGKILL");
  await cli?.ended;
  rmSync(dir, { recursive: true, force: true });
});

const put = (name: string, text: string) => writeFileSync(join(dir, "notes", name), text);
const written = () => readFileSync(join(dir, "out.txt"), "utf8").split("\n").slice(0, -1);
const run = (...args: string[]) => runCli(dir, ["dead-letters", ...args]);
interface Letter {
  readonly id: string;
  readonly error: object;
  readonly event: { readonly subject: string };
}
const letters = async (...more: string[]) => {
  const { stdout } = await run("list", "out", "--json", ...more);
  const { ok, error, result } = JSON.parse(stdout) as {
    ok: boolean;
    error?: unknown;
    result: { letters: readonly Letter[] };
  };
  expect(ok, JSON.stringify(error)).toBe(true);
  return result.letters;
};
const subjects = (some: readonly Letter[]) => some.map(({ event }) => event.subject).toSorted();

async function refused(...names: string[]) {
  for (const name of names) put(name, `bad ${name}`);
  put("good.md", "good");
  cli = startCli(dir, ["start"]);
  await until(async () => (await letters()).length === names.length, cli.stderr);
}

it("lists and shows what was given up on, with the reason", { timeout: 60_000 }, async () => {
  await refused("a.md", "b.md");
  const [first] = await letters();
  expect(first).toMatchObject({
    connector: "out",
    stage: "write",
    topic: "notes",
    attempts: 1,
    error: { code: "picky.bad", fix: "Mend it." },
  });
  expect((await run("list", "out")).stdout).toMatch(
    /^[0-9a-f]{16} .*\/file\/notes a\.md +write: picky\.bad +1 try +picky: bad a\.md is bad\.$/m,
  );
  expect((await run("list", "out", "--limit", "1")).stdout).toMatch(/and 1 more: --limit N/);
  const shown = await run("show", "out", "--id", first?.id.slice(0, 8) ?? "");
  expect(JSON.parse(shown.stdout)).toEqual(first);
  expect((await run("list", "out", "--code", "other")).stdout).toBe("out has no dead letters.\n");
  expect(await run("show", "out", "--id", "nope")).toMatchObject({ code: 2 });
  expect(await run("list", "out", "--limit", "few")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("Write a whole number, 1 or more."),
  });
  expect(await run("list", "outt")).toMatchObject({ code: 2, stderr: /Write out\./ });
  const unsaid = await run("replay", "out");
  expect(unsaid).toMatchObject({ code: 2 });
  expect(unsaid.stderr).toMatch(/--id ID, --code CODE, --stage STAGE or --all/);
});

it(
  "replays to a running connector: a newer version stays, what is still bad is kept",
  { timeout: 60_000 },
  async () => {
    await refused("a.md", "b.md");
    expect((await run("replay", "out", "--all")).stdout).toMatch(
      /2 dead letters given to out again/,
    );
    await until(
      async () => (await letters()).length === 2,
      () => "still refused",
    );
    appendFileSync(join(dir, "mended"), "");
    put("b.md", "news");
    await until(
      () => written().includes("b.md news"),
      () => written().join(),
    );
    const replayed = await run("replay", "out", "--code", "picky.bad", "--json");
    expect(JSON.parse(replayed.stdout)).toMatchObject({ ok: true, result: { name: "out" } });
    await until(
      () => written().includes("a.md bad a.md"),
      () => written().join(),
    );
    expect(await letters()).toEqual([]);
  },
);

it(
  "replays to one that does not run yet, drops what nobody wants, and refuses where nobody reads",
  { timeout: 60_000 },
  async () => {
    await refused("a.md", "b.md");
    cli?.signal("SIGTERM");
    await cli?.ended;
    expect((await run("drop", "out", "--all")).code).toBe(2);
    const [a, b] = await letters();
    expect((await run("drop", "out", "--id", a?.id ?? "", "--yes")).stdout).toMatch(
      /1 dead letter forgotten/,
    );
    expect(subjects(await letters())).toEqual([b?.event.subject]);
    appendFileSync(join(dir, "mended"), "");
    expect((await run("replay", "out", "--all")).code).toBe(0);
    cli = startCli(dir, ["start"]);
    await until(
      () => written().some((line) => line.startsWith(`${b?.event.subject} bad`)),
      cli.stderr,
    );
    expect(written().some((line) => line.startsWith(`${a?.event.subject} bad`))).toBe(false);

    rmSync(join(dir, "mended"));
    put("c.md", "bad c");
    await until(async () => (await letters()).length === 1, cli.stderr);
    cli.signal("SIGTERM");
    await cli.ended;
    await runCli(dir, ["subscriptions", "remove", "out", "--yes"]);
    const nobody = await run("replay", "out", "--all");
    expect(nobody).toMatchObject({ code: 2 });
    expect(nobody.stderr).toMatch(/out: it does not read topic "notes" any more/);
    expect((await letters()).length).toBe(1);
  },
);

it(
  "parks what follows a dead letter of its key, and replays it in order behind it",
  { timeout: 60_000 },
  async () => {
    configure({ onPoison: "park" });
    await refused("a.md");
    await until(
      () => written().includes("good.md good"),
      () => written().join(),
    );
    put("a.md", "better");
    put("good.md", "good too");
    await until(
      async () => (await letters()).length === 2,
      () => "nothing was parked",
    );
    await until(
      () => written().includes("good.md good too"),
      () => written().join(),
    );
    expect(written().some((line) => line.startsWith("a.md"))).toBe(false);
    const [parked] = (await letters()).filter(({ error }) =>
      JSON.stringify(error).includes("runner.parked"),
    );
    expect(parked).toMatchObject({ stage: "parked", attempts: 0, event: { subject: "a.md" } });

    // Also in another process, which read none of them before.
    cli?.signal("SIGTERM");
    await cli?.ended;
    put("a.md", "best");
    cli = startCli(dir, ["start"]);
    await until(async () => (await letters()).length === 3, cli.stderr);

    appendFileSync(join(dir, "mended"), "");
    // Nothing is lost by a replay while nobody runs, and it says so.
    cli?.signal("SIGTERM");
    await cli?.ended;
    expect((await run("replay", "out", "--all")).stdout).toBe(
      "… 3 dead letters released: handled once out runs and comes to them\n",
    );
    rmSync(join(dir, "mended"));
    cli = startCli(dir, ["start"]);
    await until(async () => (await letters("--code", "picky.bad")).length === 1, cli.stderr);
    expect((await run("replay", "out", "--all")).stdout).toMatch(
      /^✗ 3 dead letters refused again, or behind one that was/,
    );
    appendFileSync(join(dir, "mended"), "");
    const { stdout } = await run("replay", "out", "--code", "picky.bad", "--json");
    expect(
      (JSON.parse(stdout) as { result: { replayed: unknown[] } }).result.replayed,
    ).toHaveLength(3);
    await until(
      () => written().at(-1) === "a.md best",
      () => written().join(),
    );
    put("a.md", "free");
    await until(
      () => written().at(-1) === "a.md free",
      () => written().join(),
    );
    expect(await letters()).toEqual([]);
  },
);

it.each(["before v2", "after v2", "after v4"])(
  "a line is replayed in order though its process dies %s is written",
  { timeout: 60_000 },
  async (moment) => {
    configure({ onPoison: "park" });
    await refused("a.md");
    for (let n = 1; n < 5; n++) {
      put("a.md", `v${n}`);
      await until(async () => (await letters()).length === n + 1, cli?.stderr ?? String);
    }
    appendFileSync(join(dir, "mended"), "");
    writeFileSync(join(dir, "dies"), moment);
    const replay = run("replay", "out", "--all", "--json");
    await cli?.ended;
    put("a.md", "v5");
    cli = startCli(dir, ["start"]);
    await until(() => written().at(-1) === "a.md v5", cli.stderr);
    const all = ["a.md bad a.md", ...[1, 2, 3, 4, 5].map((n) => `a.md v${n}`)];
    const own = written().filter((line) => line.startsWith("a.md"));
    // What was written and not yet known to be may come once more, at once.
    expect(own.filter((line, at) => line !== own[at - 1])).toEqual(all);
    expect(JSON.parse((await replay).stdout)).toMatchObject({
      result: { again: [], waiting: [] },
    });
    expect(await letters()).toEqual([]);
  },
);

it("dead-letters of a config file without a name says what is wanted", async () => {
  const { code, stderr, stdout } = await run("list", "sluice.json");
  expect(code).not.toBe(0);
  const said = stdout + stderr;
  expect(said).toContain("sluice dead-letters list NAME sluice.json");
  expect(said).toContain("sluice status sluice.json");
});
