import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { SluiceEvent } from "sluice";
import { fakes } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { startMinistack } from "../../../test/s3-servers.ts";
import { heldBy, isHeldBy, makeBucket, standBetween, type TestBucket } from "./harness.ts";
import { s3 } from "./s3.ts";

type Run = Awaited<ReturnType<typeof fakes.run>>;

const server = await startMinistack();
afterAll(() => server.stop());

const isSwept = (events: readonly SluiceEvent[]) =>
  events.some(({ type }) => type === "dev.sluice.collection.cleared");

describe("what is in the index and is wanted no longer", () => {
  let bucket: TestBucket;
  const runs: Run[] = [];
  beforeEach(async () => {
    bucket = await makeBucket(server);
  });
  afterEach(async () => {
    for (const run of runs.splice(0)) await run.stop().catch(() => {});
    bucket.client.destroy();
  });
  const read = async (more: object, place: ReturnType<typeof fakes.state>) => {
    const config = { ...bucket.config, ...more };
    const run = await fakes.run(s3, { config, state: place, patienceMs: 30_000 });
    runs.push(run);
    return run;
  };
  /** Reads all under one config, then goes on under another; gives what the second run says. */
  const change = async (before: object, after: object) => {
    const place = fakes.state();
    const first = await read(before, place);
    await first.until(isSwept, "the snapshot");
    await first.stop();
    const second = await read(after, place);
    const shows = (expected: Record<string, string>) =>
      second.until(
        (events) => isHeldBy([...first.events, ...events], expected),
        `${JSON.stringify(expected)} under ${JSON.stringify(after)}`,
      );
    return { first, second, shows, place };
  };

  it.each([
    [{ maxBytes: 100 }, ["a/1.md", "b/2.txt"]],
    [{ prefixes: ["a/"] }, ["a/1.md", "a/large.md"]],
    [{ prefixes: ["b/", "c"] }, ["b/2.txt"]],
    [{ suffixes: [".md"] }, ["a/1.md", "a/large.md"]],
    [{ include: ["b/**"] }, ["b/2.txt"]],
    [{ exclude: ["a"] }, ["b/2.txt"]],
  ])("is deleted under %j, though it did not change", async (after, left) => {
    const texts: Record<string, string> = {
      "a/1.md": "one",
      "a/large.md": "x".repeat(500),
      "b/2.txt": "two",
    };
    for (const [key, text] of Object.entries(texts)) await bucket.put(key, text);
    const { second, shows } = await change({}, after);
    await shows(Object.fromEntries(left.map((key) => [key, texts[key] ?? ""])));
    expect(second.events.map(({ type }) => type)).not.toContain("dev.sluice.record.upserted");
  });

  it("is deleted also if it is too large only when it is unpacked, which is looked at once", async () => {
    const gzip = { ContentType: "text/plain", ContentEncoding: "gzip" };
    await bucket.put("large.txt", gzipSync("x".repeat(50_000)), gzip);
    await bucket.put("named.txt.gz", gzipSync("y".repeat(50_000)));
    await bucket.put("small.txt", gzipSync("small"), gzip);
    await bucket.put("plain.txt", "plain");
    const between = await standBetween(server);
    try {
      const endpoint = between.endpoint;
      const { second, shows, place } = await change({ endpoint }, { endpoint, maxBytes: 1_000 });
      await shows({ "small.txt": "small", "plain.txt": "plain" });
      expect(new Set(second.events.map(({ subject }) => subject))).toEqual(
        new Set(["large.txt", "named.txt.gz"]),
      );
      const listings = () => between.seen.filter(({ url }) => url?.includes("list-type")).length;
      const some = listings() + 3;
      while (listings() < some) await sleep(20);
      await second.stop();
      const gets = () => between.seen.filter(({ url }) => url?.includes("small.txt")).length;
      const before = gets();
      await read({ endpoint, maxBytes: 1_000 }, place);
      const more = listings() + 3;
      while (listings() < more) await sleep(20);
      expect(gets()).toBe(before);
    } finally {
      await between.close();
    }
  });

  it("is deleted when it is too large, also under a state that does not say what it was read under", async () => {
    await bucket.put("a.txt", "more than ten bytes");
    const place = fakes.state();
    const first = await read({}, place);
    await first.until(isSwept, "the snapshot");
    await first.stop();
    await place.state.each([{ key: "m", value: undefined }]);
    const second = await read({ maxBytes: 10 }, place);
    await second.until((events) => isHeldBy([...first.events, ...events], {}), "a delete");
  });

  it("comes back when `maxBytes` is raised again", async () => {
    await bucket.put("a.txt", "more than ten bytes");
    const { first, second, shows, place } = await change({}, { maxBytes: 10 });
    await shows({});
    await second.stop();
    const third = await read({}, place);
    await third.until(
      (events) => heldBy([...first.events, ...second.events, ...events]).size === 1,
    );
  });

  it("is kept where it is only archived: a snapshot then ends without its sweep", async () => {
    for (const key of ["a.txt", "b.txt"]) await bucket.put(key, key);
    const place = fakes.state();
    const run = await read({}, place);
    await run.until(isSwept, "the snapshot");
    await bucket.put("a.txt", "frozen", { StorageClass: "GLACIER" });
    await expect
      .poll(() => run.counters.get("objects_skipped{reason=archived}"), { timeout: 20_000 })
      .toBe(1);
    await run.request({ id: "now" });
    await run.until(
      () => run.batches.some(({ completes }) => completes?.includes("now") ?? false),
      "the end of the snapshot",
    );
    expect(run.events.filter(({ type }) => /cleared/.test(type))).toHaveLength(1);
    expect(run.lines.some(({ message }) => /without a sweep/.test(message))).toBe(true);
    expect(heldBy(run.events).get("a.txt")).toBe("a.txt");

    await run.stop();
    const strict = await read({ maxBytes: 3 }, place);
    await strict.until((events) =>
      events.some(({ type, subject }) => /deleted/.test(type) && subject === "a.txt"),
    );
  });
});
