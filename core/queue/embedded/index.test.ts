import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SluiceEvent } from "../../event.ts";
import { queueConformance } from "../conformance.ts";
import { openParty } from "./index.test.child.ts";

const run = promisify(execFile);
const locker = fileURLToPath(new URL("lock.test.child.js", import.meta.url));

let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), "sluice-queue-"))));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("embedded topics", () => {
  const suite = queueConformance({
    open: async (options) => openParty(dir, options),
    child: new URL("index.test.child.js", import.meta.url),
    childArguments: () => [dir],
    interrupt: async () => void (await run(process.execPath, [locker, dir])),
  });
  for (const { name, run } of suite) it(name, run);

  it("publish holds at maxWaiting jobs and goes on at half", async () => {
    const options = { partitions: 1, optional: false, leaseMs: 5_000, writeTimeoutMs: 100 };
    const { topics, state } = openParty(dir, { ...options, maxWaiting: 10 });
    await topics.subscribe({ topic: "half", name: "s" });
    const stop = new AbortController();
    let published = 0;
    const publishing = (async () => {
      for (; published < 14; published++)
        await topics.publish("half", [message(published)], { signal: stop.signal });
    })();
    await expect.poll(() => published).toBe(10);
    const publishedAt: number[] = [];
    const consuming = topics.consume(
      "half",
      "s",
      async () => {
        await sleep(30); // a sink that takes its time, so that a publish has time to go on too early
        publishedAt.push(published);
      },
      { signal: stop.signal },
    );
    await publishing;
    await expect.poll(() => publishedAt.length).toBe(14);
    expect(publishedAt.slice(0, 7)).toEqual([10, 10, 10, 10, 10, 14, 14]);
    stop.abort();
    await consuming;
    await topics.close(1_000);
    await state.close();
  });
});

function message(n: number): SluiceEvent {
  return { specversion: "1.0", id: String(n), source: "/half", type: "note" };
}
