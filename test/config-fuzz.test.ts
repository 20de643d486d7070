import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";

const runs = Number(process.env["SLUICE_RUNS"] ?? 10_000);
const seed = process.env["SLUICE_SEED"] ?? "20261127";

it("whatever a config file holds, it loads or is refused with findings, and nothing else is opened or called", async () => {
  const dir = mkdtempSync(join(realpathSync(tmpdir()), "sluice-fuzz-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const script = fileURLToPath(new URL("config-fuzz/fuzz-child.js", import.meta.url));
  const errors = fileURLToPath(new URL("../../docs/errors.md", import.meta.url));
  const child = fork(script, [dir, seed, String(runs), errors], { cwd: dir });
  const [result] = (await once(child, "message")) as [
    {
      readonly ok: boolean;
      readonly why?: string;
      readonly loaded: number;
      readonly refused: number;
    },
  ];
  expect(result.why).toBeUndefined();
  expect(result.loaded).toBeGreaterThan(runs / 100);
  expect(result.loaded + result.refused).toBe(runs);
}, 120_000);
