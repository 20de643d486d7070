import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { RetryableError } from "sluice";
import { fakes } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { startMinistack } from "../../../test/s3-servers.ts";
import { heldBy, makeBucket, standBetween, type Between, type TestBucket } from "./harness.ts";
import { s3 } from "./s3.ts";

type Run = Awaited<ReturnType<typeof fakes.run>>;
type Place = ReturnType<typeof fakes.state>;

const server = await startMinistack();
afterAll(() => server.stop());

describe("an object that fails by itself", () => {
  let bucket: TestBucket;
  let between: Between;
  const runs: Run[] = [];
  beforeEach(async () => {
    bucket = await makeBucket(server);
    between = await standBetween(server);
  });
  afterEach(async () => {
    for (const run of runs.splice(0)) await run.stop().catch(() => {});
    bucket.client.destroy();
    await between.close();
  });
  const read = async (place: Place, more: object = {}) => {
    const config = { ...bucket.config, endpoint: between.endpoint, ...more };
    const run = await fakes.run(s3, { config, state: place, patienceMs: 30_000 });
    runs.push(run);
    return run;
  };
  const asked = (part: string) => between.seen.filter(({ url }) => url?.includes(part)).length;
  const listings = async (count: number) => {
    const wanted = asked("list-type") + count;
    for (const deadline = performance.now() + 60_000; asked("list-type") < wanted; await sleep(20))
      if (performance.now() > deadline) throw new Error("it lists no more");
  };
  const fails = (part: string) => {
    between.intercept = async ({ url = "" }) =>
      url.includes(part) ? { status: 500, body: "<html>oops</html>" } : undefined;
  };

  it("holds up the source only for some looks, and is not asked for at every listing after", async () => {
    await bucket.put("bad.txt", "1");
    await bucket.put("still.txt", "1");
    const place = fakes.state();
    const first = await read(place);
    await first.until((events) => heldBy(events).size === 2, "both objects");
    await first.stop();

    await bucket.put("bad.txt", "2");
    fails("bad.txt?");
    // Nothing else changes, so nothing else can be read: at first it looks like an outage.
    for (let look = 1; look <= 2; look++)
      await expect((await read(place)).ended).rejects.toMatchObject({ code: "s3.unreachable" });
    const run = await read(place);
    await expect
      .poll(() => run.counters.get("objects_skipped{reason=unreadable}"), { timeout: 20_000 })
      .toBe(1);
    expect(run.lines.at(-1)?.fields).toMatchObject({
      key: "bad.txt",
      error: { code: "s3.unreadable", message: expect.stringContaining("(500)") },
    });
    const gets = asked("bad.txt?");
    await listings(4);
    expect(asked("bad.txt?")).toBe(gets);
    await run.stop();
    const again = await read(place); // nor by another process
    await listings(3);
    expect(asked("bad.txt?")).toBe(gets);
    // Others come, as ever.
    await bucket.put("still.txt", "2");
    await again.until((events) => heldBy(events).get("still.txt") === "2", "another object");

    await again.stop();
    // What is left alone says nothing of whether another object can be read.
    between.intercept = async ({ url = "" }) =>
      /(again|bad)\.txt\?/.test(url) ? { status: 500, body: "" } : undefined;
    await bucket.put("again.txt", "1"); // its look begins first
    await expect((await read(place)).ended).rejects.toMatchObject({ code: "s3.unreachable" });

    between.intercept = async () => undefined;
    const last = await read(place);
    await bucket.put("bad.txt", "3");
    await last.until(
      (events) => heldBy(events).get("bad.txt") === "3" && heldBy(events).get("again.txt") === "1",
      "its next state",
    );
    for await (const page of place.state.scan("f/")) expect(page).toEqual([]);
  }, 120_000);

  it("is left alone too where others can be read meanwhile, and a snapshot asks again and spares it", async () => {
    await bucket.put("bad.txt", "1");
    const place = fakes.state();
    const first = await read(place);
    await first.until((events) => events.some(({ type }) => /cleared/.test(type)));
    await first.stop();
    await bucket.put("bad.txt", "2");
    fails("bad.txt?");
    await bucket.put("good.txt", "1");
    const run = await read(place);
    const busy = setInterval(() => void bucket.put("good.txt", String(Math.random())), 100);
    try {
      for (let gets = -1; gets !== asked("bad.txt?"); await listings(3)) gets = asked("bad.txt?");
      // Three looks of three tries, each of which the SDK tries three times.
      expect(asked("bad.txt?")).toBe(1 + 27);
      await run.request({ id: "now" });
      await run.until(
        () => run.batches.some(({ completes }) => completes?.includes("now") ?? false),
        "the end of the snapshot",
      );
    } finally {
      clearInterval(busy);
    }
    expect(asked("bad.txt?")).toBeGreaterThan(28);
    expect(run.events.some(({ type }) => /cleared/.test(type))).toBe(false);
  }, 120_000);

  it("is tried again by itself soon, though nobody lists or tells of it", async () => {
    for (let n = 0; n < 20; n++) await bucket.put(`good-${n}.txt`, "1");
    await bucket.put("bad.txt", "1");
    fails("bad.txt?");
    const run = await read(fakes.state(), { everyMs: 3_600_000, idleEveryMs: 3_600_000 });
    await run.until((events) => heldBy(events).size === 20, "the others");
    await expect
      .poll(() => run.counters.get("objects_skipped{reason=unreadable}"), { timeout: 20_000 })
      .toBe(1);
    const listed = asked("list-type");
    between.intercept = async () => undefined;
    await run.until((events) => heldBy(events).get("bad.txt") === "1", "the object");
    expect(asked("list-type")).toBe(listed);
  }, 120_000);

  it("and many others do not keep one that can be read waiting, however many are in front of it", async () => {
    for (let n = 0; n < 12; n++) await bucket.put(`bad-${n}.txt`, "1");
    await bucket.put("z.txt", "1");
    between.intercept = async ({ url = "" }) =>
      /bad-\d+\.txt\?/.test(url) ? { status: 500, body: "" } : undefined;
    const place = fakes.state();
    const behind = async (tries = 1): Promise<void> => {
      const run = await read(place, { readsAtOnce: 4 });
      await run
        .until((events) => heldBy(events).get("z.txt") === "1", "the one behind them")
        .catch((error: unknown) => {
          // On a busy machine all that it has looked at may have failed: an outage, and another run.
          if (!(error instanceof RetryableError) || tries === 3) throw error;
          return behind(tries + 1);
        });
    };
    await behind();
  }, 120_000);

  it("and hundreds of others are tried less often, and hold up no change", async () => {
    const bad = Array.from({ length: 400 }, (_, n) => `bad-${n}.txt`);
    await Promise.all(bad.map((key) => bucket.put(key, "1")));
    await bucket.put("a.txt", "1");
    fails("/bad-");
    const run = await read(fakes.state(), { readsAtOnce: 8, everyMs: 300, idleEveryMs: 300 });
    await run.until((events) => heldBy(events).size === 1, "the one that can be read");
    await bucket.put("a.txt", "2");
    await run.until((events) => heldBy(events).get("a.txt") === "2", "its change");
    // Nine times each would be each of three tries, of which each is three of the SDK's.
    expect(asked("/bad-")).toBeLessThan(400 * 6);
  }, 120_000);

  it("when maxBytes was lowered is looked at again until it is known whether it is wanted", async () => {
    const packed = { ContentType: "text/plain", ContentEncoding: "gzip" };
    const large = gzipSync("word ".repeat(10_000));
    for (const key of ["denied.txt", "failing.txt"]) await bucket.put(key, large, packed);
    await bucket.put("good.txt", "1");
    const place = fakes.state();
    const first = await read(place);
    await first.until((events) => heldBy(events).size === 3, "all of them");
    await first.stop();
    between.intercept = async ({ url = "" }) => {
      if (url.includes("denied.txt?")) return { status: 403, body: "" };
      return url.includes("failing.txt?") ? { status: 500, body: "" } : undefined;
    };
    const busy = setInterval(() => void bucket.put("good.txt", String(Math.random())), 100);
    try {
      const run = await read(place, { maxBytes: 1_000 });
      await expect
        .poll(() => run.counters.get("objects_skipped{reason=unreadable}"), { timeout: 20_000 })
        .toBe(1);
      await listings(3);
      between.intercept = async () => undefined;
      const left = () => [...heldBy([...first.events, ...run.events]).keys()];
      await expect.poll(left, { timeout: 30_000 }).toEqual(["good.txt"]);
    } finally {
      clearInterval(busy);
    }
  }, 120_000);

  it("counts nothing in an outage: while the bucket cannot be listed either, it is none of the object's", async () => {
    await bucket.put("a.txt", "1");
    const place = fakes.state();
    for (let look = 1; look <= 4; look++) {
      between.intercept = async ({ url = "" }) => {
        if (!url.includes("a.txt?")) return undefined;
        fails("/");
        return { status: 500, body: "" };
      };
      await expect((await read(place)).ended).rejects.toMatchObject({ code: "s3.unreachable" });
      for await (const page of place.state.scan("f/")) expect(page).toEqual([]);
    }
    between.intercept = async () => undefined;
    const run = await read(place);
    await run.until((events) => heldBy(events).get("a.txt") === "1", "the object");
  }, 120_000);

  it("is too large, or no text, also where it is packed twice, and no outage", async () => {
    const twice = { ContentType: "text/plain", ContentEncoding: "gzip, gzip" };
    await bucket.put("a.txt", gzipSync(gzipSync("old")), twice);
    const run = await read(fakes.state());
    await run.until((events) => heldBy(events).get("a.txt") === "old", "the small one");
    await bucket.put("a.txt", gzipSync(gzipSync(Buffer.alloc(6_000_000, "x "))), twice);
    await run.until((events) => heldBy(events).size === 0, "the large one to be taken as absent");
    expect(run.counters.get("objects_skipped{reason=too-large}")).toBe(1);
  });
});

describe("a server that hangs", () => {
  it("is an outage within a minute, and the lag says so before", async () => {
    const bucket = await makeBucket(server);
    await bucket.put("a.txt", "1");
    const run = await fakes.run(s3, { config: bucket.config, patienceMs: 30_000 });
    await run.until((events) => heldBy(events).size === 1, "the object");
    server.signal("SIGSTOP");
    try {
      const began = performance.now();
      await expect(run.ended).rejects.toMatchObject({ code: "s3.unreachable" });
      expect(performance.now() - began).toBeLessThan(60_000);
      const { lag, lagSeconds } = run.progress.at(-1) ?? {};
      expect(lag).toMatch(/^at least \d+ s$/);
      expect(lag).toBe(`at least ${lagSeconds} s`);
    } finally {
      server.signal("SIGCONT");
      await run.stop().catch(() => {});
      bucket.client.destroy();
    }
  }, 90_000);
});
