import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { ConfigError, inScope, isRecordChange, upserted, version, type RecordChange } from "sluice";
import { fakes, sinkConformance } from "sluice/testing";
import { afterAll, beforeAll, describe, it } from "vitest";
import { log } from "./log.ts";
import { toStdout } from "./to-stdout.ts";

let dir = "";
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), "sluice-log-"))));
afterAll(() => rm(dir, { recursive: true, force: true }));

const run = fakes.writeRun;

function event(text: string) {
  return upserted({
    source: "/log",
    subject: "1",
    key: "1",
    version: version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    meta: {},
    op: "create",
    after: { text },
  });
}

async function linesOf(path: string): Promise<readonly unknown[]> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as unknown);
}

describe("log keeps what a sink must, as a reader of its lines sees it:", () => {
  // `log` opens the path when a case runs, so the folder may come later than the cases.
  const path = join(tmpdir(), `sluice-log-kit-${process.pid}.ndjson`);
  afterAll(() => rm(path, { force: true }));

  const read = async () => {
    const held = new Map<string, RecordChange>();
    for (const change of (await linesOf(path)) as readonly RecordChange[])
      if (change.type === "dev.sluice.collection.cleared") {
        const { source, data } = change;
        for (const [key, one] of held)
          if (
            one.source === source &&
            one.sequence < data.below &&
            inScope(one.partitionkey, data.scope)
          )
            held.delete(key);
      } else if (isRecordChange(change)) {
        const key = `${change.source}\n${change.subject}`;
        if ((held.get(key)?.sequence ?? "") <= change.sequence) held.set(key, change);
      }
    return [...held.values()];
  };
  const module = new URL("./log.js", import.meta.url);
  for (const one of sinkConformance({ sink: log, config: { path }, read, module }))
    it(one.name, one.run, 60_000);
});

describe("log", () => {
  it("writes one line per event and appends to what is there", async () => {
    const path = join(dir, "append.ndjson");
    for (const text of ["a\nb", "c"]) {
      const writer = await log.open(fakes.context({ config: { path } }));
      await writer.write([event(text), event(text)], run());
      await writer.close();
    }
    assert.deepEqual(await linesOf(path), ["a\nb", "a\nb", "c", "c"].map(event));
  });

  it("keeps the lines of concurrent writes whole", async () => {
    const path = join(dir, "parallel.ndjson");
    const writer = await log.open(fakes.context({ config: { path } }));
    const big = "x".repeat(300_000);
    await Promise.all([1, 2, 3, 4].map(() => writer.write([event(big), event(big)], run())));
    await writer.close();
    assert.equal((await linesOf(path)).length, 8);
  });

  it("begins a new line after one that a crash cut short", async () => {
    const path = join(dir, "torn.ndjson");
    await appendFile(path, '{"half":');
    const writer = await log.open(fakes.context({ config: { path } }));
    await writer.write([event("whole")], run());
    await writer.close();
    const [half, whole] = (await readFile(path, "utf8")).split("\n");
    assert.equal(half, '{"half":');
    assert.deepEqual(JSON.parse(whole ?? ""), event("whole"));
  });

  it("names the path that cannot be opened, and the fix", async () => {
    const path = join(dir, "absent", "x.ndjson");
    await assert.rejects(log.open(fakes.context({ config: { path } })), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.code, "log.path");
      assert.ok(error.message.includes(path) && error.fix);
      return true;
    });
  });

  it("waits for a slow reader of standard output, until an abort", async () => {
    const pipe = new PassThrough({ highWaterMark: 16 });
    const lines = toStdout(pipe);
    const aborter = new AbortController();
    let done = false;
    await lines.append("fits\n", { signal: aborter.signal });
    const slow = lines
      .append("x".repeat(100), { signal: aborter.signal })
      .then(() => (done = true));
    await new Promise(setImmediate);
    assert.equal(done, false);
    aborter.abort();
    await assert.rejects(slow, { name: "AbortError" });
    await lines.close();
  });

  it("stops when the reader of standard output has gone, instead of crashing", async () => {
    const script = `
      import { log } from ${JSON.stringify(new URL("./log.js", import.meta.url).href)};
      import { fakes } from "sluice/testing";
      const writer = await log.open(fakes.context({ config: {} }));
      const text = { specversion: "1.0", id: "1", source: "/log", type: "t", data: "x".repeat(100_000) };
      try {
        for (;;) await writer.write([text], fakes.writeRun());
      } catch (error) {
        process.stderr.write(error.code);
      }
      await writer.close();
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (data: Buffer) => void (said += data.toString()));
    child.stdout.once("data", () => child.stdout.destroy());
    const [code] = (await once(child, "close")) as [number];
    assert.equal(said, "log.stdout-closed");
    assert.equal(code, 0);
  });
});
