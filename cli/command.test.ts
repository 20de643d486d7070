import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { runCli } from "./run.test.data.ts";

it("tells warnings of the files where they are judged, and not before what another command answers", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sluice-command-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const unread = { name: "folder", source: "file", to: "notes", config: { path: "." } };
  writeFileSync(join(dir, "sluice.json"), JSON.stringify({ project: "p", connectors: [unread] }));
  const told = async (command: string) => {
    const { code, stdout, stderr } = await runCli(dir, [command]);
    expect(code, stderr).toBe(0);
    return stdout + stderr;
  };
  expect(await told("validate")).toContain("config.no-consumer");
  expect(await told("plan")).toContain("config.no-consumer");
  expect(await told("subscriptions")).not.toContain("config.no-consumer");
});
