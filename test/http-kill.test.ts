import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { freePort, post, stranger } from "../connectors/sources/http/harness.ts";

const main = join(dirname(fileURLToPath(import.meta.url)), "../cli/main.js");

/** Kills of the process, each after so many more acknowledged events. */
const kills = [60, 150];
const total = 400;

it(
  "what the http source acknowledged outlives kills of its process",
  { timeout: 90_000 },
  async () => {
    const dir = await mkdtemp(join(tmpdir(), "sluice-http-kill-"));
    const port = await freePort();
    const config = {
      project: "kill",
      connectors: [
        { name: "door", source: "http", to: "in", config: { port } },
        { name: "file", sink: "log", from: "in", config: { path: join(dir, "out.ndjson") } },
      ],
    };
    await writeFile(join(dir, "sluice.json"), JSON.stringify(config));
    const start = () =>
      spawn(process.execPath, [main, "start", "sluice.json"], { cwd: dir, stdio: "ignore" });
    let child: ChildProcess = start();
    const acknowledged: string[] = [];
    let next = 0;

    // Each sender sends the same event again until it is acknowledged: a killed process answers nothing.
    const sender = async () => {
      while (next < total) {
        const id = `e${next++}`;
        const event = stranger(id, { partitionkey: id });
        const isTaken = async () =>
          await post(`http://127.0.0.1:${port}`, event).then(
            ({ status }) => status === 202,
            () => false,
          );
        while (!(await isTaken())) await sleep(20);
        acknowledged.push(id);
      }
    };
    const killer = async () => {
      let at = 0;
      for (const after of kills) {
        at += after;
        while (acknowledged.length < at) await sleep(2);
        const gone = once(child, "exit");
        child.kill("SIGKILL");
        await gone;
        child = start();
      }
    };
    try {
      await Promise.all([killer(), ...Array.from({ length: 8 }, sender)]);
      const end = performance.now() + 30_000;
      let missing: readonly string[] = acknowledged;
      while (missing.length > 0 && performance.now() < end) {
        await sleep(100);
        const text = await readFile(join(dir, "out.ndjson"), "utf8");
        missing = acknowledged.filter((id) => !text.includes(`"id":"${id}"`));
      }
      assert.deepEqual(missing, []);
      expect(acknowledged).toHaveLength(total);
    } finally {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
      await rm(dir, { recursive: true, force: true });
    }
  },
);
