import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../run.test.data.ts";

const dir = mkdtempSync(join(tmpdir(), "sluice-nested-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
beforeAll(() => {
  const connectors = [
    { name: "notes", source: "file", to: "notes", config: { path: "notes" } },
    { name: "out", sink: "log", from: "notes" },
  ];
  writeFileSync(join(dir, "sluice.json"), JSON.stringify({ project: "nested", connectors }));
  writeFileSync(join(dir, "env"), "SLUICE_QUEUE=kafka://elsewhere\n");
});

const commands: readonly (readonly [group: string, name: string, ...rest: readonly string[]])[] = [
  ["dead-letters", "list", "out"],
  ["dead-letters", "show", "out", "--id", "1"],
  ["dead-letters", "replay", "out", "--all"],
  ["dead-letters", "drop", "out", "--all", "--yes"],
  ["checkpoint", "show", "notes"],
  ["checkpoint", "set", "notes", "{}", "--yes"],
  ["checkpoint", "reset", "notes", "--yes"],
  ["subscriptions", "remove", "out", "--yes"],
];

describe.each(commands)("%s %s works where it is told to", (group, name, ...rest) => {
  const elsewhere = ["--queue", "kafka://elsewhere"];
  it.each([
    ["after it", [group, name, ...rest, ...elsewhere]],
    ["before it", [group, ...elsewhere, name, ...rest]],
    ["by a file of variables", [group, name, ...rest, "--env", "env"]],
  ])("%s", async (_, args) => {
    expect(await runCli(dir, [...args, "--json"])).toMatchObject({
      code: 2,
      stdout: expect.stringContaining('is \\"kafka://elsewhere\\"'),
    });
  });
});
