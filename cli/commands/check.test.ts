import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runCli } from "../run.test.data.ts";

const core = new URL("../../core/index.js", import.meta.url).href;
const source = `
import { defineSource, z } from "${core}";
export const slots = defineSource({
  name: "slots", version: "1.0.0", summary: "A log.",
  config: z.strictObject({ url: z.string().meta({ secret: true }), says: z.enum(["ok", "warning", "error", "nothing"]) }),
  checkpoint: z.strictObject({}), emits: [""],
  capabilities: { deletes: true, snapshotOnRequest: true, replays: true, forgets: true },
  check: async ({ config: { says, url } }) => {
    if (says === "nothing") return new Promise(() => setInterval(() => {}, 1_000));
    return [{ severity: says, code: "slots.level", message: "wal_level is replica at " + url + ".",
      fix: "Run as a superuser, and restart the server:\\nALTER SYSTEM SET wal_level = 'logical';\\n  -- twice indented" }];
  },
  async *read() {},
});`;

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-check-"));
  writeFileSync(join(dir, "slots.mjs"), source);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const checked = async (says: string, ...args: string[]) => {
  const connectors = [
    { name: "rows", source: "./slots.mjs", to: "rows", config: { url: "pg://hush-hush", says } },
    { name: "out", sink: "log", from: "rows" },
  ];
  writeFileSync(join(dir, "sluice.json"), JSON.stringify({ connectors }));
  return await runCli(dir, ["check", ...args]);
};

it("exits with 0 where nothing is wrong, in a line each, and leaves no trace", async () => {
  const { code, stdout, stderr } = await checked("ok");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toBe(`queue embedded
  ✓ embedded: ${join(dir, ".sluice")} will be created at start; durability disk.

rows source slots
  ✓ wal_level is replica at ***.

out sink log
  ✓ out: log has no check of its own.

Everything is in place.
`);
  expect(existsSync(join(dir, ".sluice"))).toBe(false);
  expect((await checked("warning")).code).toBe(0);
});

it("exits with 1 where something is wrong, and shows the fix as it is to be typed", async () => {
  const { code, stdout } = await checked("error");
  expect(code).toBe(1);
  expect(stdout).toContain(`rows source slots
  ✗ slots.level
    wal_level is replica at ***.
    → Run as a superuser, and restart the server:
      ALTER SYSTEM SET wal_level = 'logical';
        -- twice indented
`);
  expect(stdout).toMatch(/\n1 error\n$/);
});

it("answers in JSON, and says whether all is well", async () => {
  const { code, stdout, stderr } = await checked("error", "--json");
  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  expect(stdout).not.toContain("hush");
  expect(JSON.parse(stdout)).toMatchObject({
    command: "check",
    ok: false,
    result: {
      project: "sluice",
      groups: [{ name: "queue" }, { name: "rows", findings: [{ code: "slots.level" }] }, {}],
    },
  });
});

it("ends although a check never does", { timeout: 40_000 }, async () => {
  const { code, stdout } = await checked("nothing");
  expect(code).toBe(1);
  expect(stdout).toContain("rows: its check did not end within 15 s.");
});

it("exits with 2 for invalid files, with 3 where the queue is away", async () => {
  expect((await checked("maybe")).code).toBe(2);
  const away = await checked("ok", "--queue", "redis://127.0.0.1:1");
  expect(away.code).toBe(3);
  expect(away.stderr).toContain("redis.unreachable");
});
