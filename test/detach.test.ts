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
import { runCli, startCli, until, type Cli } from "../cli/run.test.data.ts";

const core = new URL("../core/index.js", import.meta.url).href;
/** Notes what it was told of each record; stuck until the file \`mended\` is there, where it is to be \`slow\`. */
const notes = `
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { defineSink, z } from "${core}";
export const notes = defineSink({
  name: "notes", version: "1.0.0", summary: "Notes.",
  config: z.strictObject({ path: z.string(), slow: z.boolean().default(false) }), accepts: [""],
  open: async ({ config }) => ({
    write: async (events, { signal }) => {
      while (config.slow && !existsSync("mended")) await sleep(50, undefined, { signal });
      for (const { subject, sequence, data } of events)
        appendFileSync(config.path, JSON.stringify([subject, sequence, data.after?.text ?? null]) + "\\n");
    },
    close: async () => {},
  }),
});`;

let dir = "";
let cli: Cli | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-detach-"));
  mkdirSync(join(dir, "folder"));
  writeFileSync(join(dir, "notes.mjs"), notes);
});
afterEach(async () => {
  cli?.signal("SIGKILL");
  await cli?.ended;
  rmSync(dir, { recursive: true, force: true });
});

function held(name: string): Readonly<Record<string, string>> {
  const texts = new Map<string, { readonly text: string; readonly version: string }>();
  for (const line of readFileSync(join(dir, name), "utf8").split("\n").slice(0, -1)) {
    const [subject, version, text] = JSON.parse(line) as [string, string, string | null];
    if (text !== null) texts.set(subject, { text, version });
    else if (subject !== "*") texts.delete(subject);
    // A clear: the end of the snapshot that brings it up to date.
    else for (const [old, one] of texts) if (one.version < version) texts.delete(old);
  }
  return Object.fromEntries([...texts].map(([subject, { text }]) => [subject, text]));
}

it("a full subscription is detached without holding the others, and brought up to date once it goes on", async () => {
  const sink = (name: string, more: object, config: object) => ({
    name,
    sink: "./notes.mjs",
    from: "files",
    ...more,
    config: { path: `${name}.txt`, ...config },
  });
  const file = {
    project: "detach",
    topics: { files: { partitions: 1, maxWaiting: 2 } },
    connectors: [
      { name: "folder", source: "file", to: "files", config: { path: "folder", settleMs: 60 } },
      sink("quick", {}, {}),
      sink("slow", { whenFull: "detach" }, { slow: true }),
    ],
  };
  writeFileSync(join(dir, "sluice.json"), JSON.stringify(file));
  for (const name of ["quick.txt", "slow.txt"]) writeFileSync(join(dir, name), "");
  const put = (name: string, text: string) => writeFileSync(join(dir, "folder", name), text);
  put("gone.md", "soon gone");
  cli = startCli(dir, ["start"]);
  const told = () => cli?.stderr() ?? "";
  await until(() => "gone.md" in held("quick.txt"), told);

  for (let n = 0; n < 12; n++) {
    put(`note-${n}.md`, `note ${n}`);
    await until(() => `note-${n}.md` in held("quick.txt"), told);
  }
  rmSync(join(dir, "folder", "gone.md"));
  await until(() => !("gone.md" in held("quick.txt")), told);
  expect(told()).toContain("subscription was full and is detached");
  const { stdout } = await runCli(dir, ["subscriptions"]);
  expect(stdout).toMatch(/slow +reads files +0 waiting +1 consumer +detached since 20\d\d-/);

  appendFileSync(join(dir, "mended"), "");
  await until(() => Object.keys(held("slow.txt")).length === 12, told);
  await until(async () => {
    const status = await runCli(dir, ["subscriptions"]);
    return /slow +reads files +0 waiting +1 consumer +live/.test(status.stdout);
  }, told);
  expect(held("slow.txt")).toEqual(held("quick.txt"));
});
