import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { SluiceEvent } from "sluice";
import { fakes, sourceConformance } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { startMinistack } from "../../../../test/s3-servers.ts";
import { isHeldBy, makeBucket, standBetween, type TestBucket } from "../harness.ts";
import { s3 } from "../s3.ts";
import { makeQueue, type TestQueue } from "./harness.ts";

type FakeState = ReturnType<typeof fakes.state>;
type Run = Awaited<ReturnType<typeof fakes.run>>;

const server = await startMinistack({ isKept: true });
afterAll(() => server.stop());

const of = (events: readonly SluiceEvent[], key: string) =>
  events.filter(({ subject }) => subject === key);
const until = async (what: () => boolean | Promise<boolean>, wanted: string) => {
  for (const deadline = performance.now() + 30_000; !(await what()); await sleep(20))
    if (performance.now() > deadline) throw new Error(`waited in vain for ${wanted}`);
};

describe("s3 that is told by a queue", () => {
  let bucket: TestBucket;
  let queue: TestQueue;
  const runs: Run[] = [];
  beforeEach(async () => {
    bucket = await makeBucket(server);
    queue = await makeQueue(server, bucket);
  });
  afterEach(async () => {
    for (const run of runs.splice(0)) await run.stop().catch(() => {});
  });
  const read = async (
    notifications: object = {},
    more: {
      readonly place?: FakeState;
      readonly endpoint?: string;
      readonly maxBytes?: number;
    } = {},
  ) => {
    const { place = fakes.state(), ...others } = more;
    const told = { queueUrl: queue.url, visibilitySeconds: 2, ...notifications };
    const config = { ...bucket.config, notifications: told, ...others };
    const run = await fakes.run(s3, { config, state: place, patienceMs: 30_000 });
    runs.push(run);
    await run.until((events) => events.some(({ type }) => /cleared/.test(type)), "the snapshot");
    return run;
  };
  const shows = (run: Run, expected: Record<string, string>) =>
    run.until((events) => isHeldBy(events, expected), JSON.stringify(expected));
  const emptied = () =>
    until(async () => {
      const { waiting, hidden } = await queue.count();
      return waiting + hidden === 0;
    }, "an empty queue");

  it.each(["direct", "sns", "eventbridge"] as const)(
    "follows creates, changes and deletes without a listing, told %s",
    async (way) => {
      queue = await makeQueue(server, bucket, way);
      await bucket.put("before.txt", "0");
      const run = await read();
      const odd = "a b+c%20ü/日.txt";
      await bucket.put(odd, "1");
      await bucket.put("plain.txt", "1");
      await shows(run, { "before.txt": "0", [odd]: "1", "plain.txt": "1" });
      await bucket.put(odd, "2");
      await bucket.remove("plain.txt");
      await bucket.remove("before.txt");
      await shows(run, { [odd]: "2" });
      await emptied();
    },
  );

  it("ends a snapshot while objects change without a pause", async () => {
    await bucket.put("a.txt", "1");
    const between = await standBetween(server);
    try {
      // No server can be relied on to be faster than we are: these objects and messages are made here.
      let told = 0;
      let looks = 0;
      const message = () => {
        const id = String(told++);
        const object = { key: `hot/${Number(id) % 200}` };
        const record = {
          eventName: "ObjectCreated:Put",
          s3: { bucket: { name: bucket.name }, object },
        };
        const Body = JSON.stringify({ Records: [record] });
        const MD5OfBody = createHash("md5").update(Body).digest("hex");
        return { MessageId: id, ReceiptHandle: id, Body, MD5OfBody };
      };
      between.intercept = async ({ url = "", headers }) => {
        const target = String(headers["x-amz-target"] ?? "");
        const Messages = /ReceiveMessage/.test(target) ? Array.from({ length: 10 }, message) : [];
        if (target !== "") return { status: 200, body: JSON.stringify({ Messages, Failed: [] }) };
        if (url.includes("/hot/"))
          return { status: 200, body: "x", headers: { etag: `"${looks++}"` } };
        return undefined;
      };
      // A disk so slow that more was read, and waits, whenever a batch is stored.
      const place = fakes.state();
      const each: FakeState["state"]["each"] = async (...writes) => {
        await sleep(300);
        return await place.state.each(...writes);
      };
      const queueUrl = queue.url.replace(server.endpoint, between.endpoint);
      const slow = { ...place, state: { ...place.state, each } };
      const run = await read({ queueUrl }, { place: slow, endpoint: between.endpoint });
      await run.until((events) => of(events, "hot/0").length > 2, "changes behind the snapshot");
      const batchOf = (what: (event: SluiceEvent) => boolean) =>
        run.batches.findIndex(({ events }) => events.some(what));
      const last = batchOf(({ subject }) => subject === "a.txt");
      expect(batchOf(({ type }) => /cleared/.test(type))).toBe(last + 1);
    } finally {
      await between.close();
    }
  });

  it("is read whole without a message being taken", async () => {
    await until(async () => (await queue.count()).waiting === 1, "the test message");
    for (const key of ["a.txt", "b.txt"]) await bucket.put(key, key);
    await until(async () => (await queue.count()).waiting === 3, "the events");
    const notifications = { queueUrl: queue.url, visibilitySeconds: 2 };
    const config = s3.config.parse({ ...bucket.config, notifications });
    const { state } = fakes.state();
    const events: SluiceEvent[] = [];
    for await (const page of s3.scan?.(fakes.context({ config, state })) ?? [])
      events.push(...page);
    expect(events.map(({ type, subject }) => `${type.split(".").at(-1)} ${subject}`)).toEqual([
      "upserted a.txt",
      "upserted b.txt",
    ]);
    for await (const page of state.scan("")) expect(page).toEqual([]);
    expect(await queue.count()).toEqual({ waiting: 3, hidden: 0 });
  });

  it("looks once where a message comes twice", async () => {
    const between = await standBetween(server);
    try {
      let lost = 0;
      between.intercept = async ({ headers }) =>
        /DeleteMessage/.test(String(headers["x-amz-target"])) && lost++ < 3
          ? { status: 500, body: "" }
          : undefined;
      const run = await read({ queueUrl: queue.url.replace(server.endpoint, between.endpoint) });
      await bucket.put("a.txt", "1");
      await shows(run, { "a.txt": "1" });
      await emptied();
      expect(lost).toBeGreaterThan(3);
      expect(of(run.events, "a.txt")).toHaveLength(1);
    } finally {
      await between.close();
    }
  });

  it("needs no order: a late message about an earlier state changes nothing", async () => {
    const run = await read();
    await emptied(); // the test message
    await run.stop();
    await bucket.put("a.txt", "1");
    const late = await queue.take(60);
    await bucket.remove("a.txt");
    await bucket.put("b.txt", "1");
    const again = await read();
    await shows(again, { "b.txt": "1" });
    await queue.release(late);
    await emptied();
    await bucket.put("c.txt", "1");
    await shows(again, { "b.txt": "1", "c.txt": "1" });
    expect(of(again.events, "a.txt")).toEqual([]);
  });

  it("a message that comes after a newer one costs no request", async () => {
    const between = await standBetween(server);
    try {
      const run = await read({}, { endpoint: between.endpoint });
      await emptied();
      run.pause();
      await run.stop();
      await bucket.put("a.txt", "1");
      const late = await queue.take(60);
      await bucket.put("a.txt", "2");
      const again = await read({}, { endpoint: between.endpoint });
      await shows(again, { "a.txt": "2" });
      await until(async () => {
        const { waiting, hidden } = await queue.count();
        return waiting === 0 && hidden === 1;
      }, "the newer message to be deleted");
      const asked = between.seen.length;
      await queue.release(late);
      await emptied();
      expect(between.seen.length).toBe(asked);
    } finally {
      await between.close();
    }
  });

  it("deletes a late message about a key only when that key was looked at, not others of its message", async () => {
    const between = await standBetween(server);
    let release = () => {};
    const isReleased = new Promise<void>((resolve) => (release = resolve));
    try {
      const run = await read({}, { endpoint: between.endpoint });
      await emptied();
      const silent = await makeQueue(server, bucket); // its events go there; these messages are made here
      const told = (sequencer: string, ...keys: readonly string[]) =>
        queue.send(
          JSON.stringify({
            Records: keys.map((key) => ({
              eventName: "ObjectCreated:Put",
              eventSource: "aws:s3",
              s3: { bucket: { name: bucket.name }, object: { key, sequencer } },
            })),
          }),
        );
      for (const key of ["a.txt", "b.txt", "c.txt"]) await bucket.put(key, key);
      between.intercept = async ({ url = "" }) => {
        if (url.includes("b.txt?")) await isReleased;
        return undefined;
      };
      await told("0000000000000005", "a.txt", "b.txt");
      await shows(run, { "a.txt": "a.txt" });
      await told("0000000000000004", "b.txt");
      await until(async () => (await queue.count()).waiting === 0, "the late message to be taken");
      await told("0000000000000006", "c.txt");
      await shows(run, { "a.txt": "a.txt", "c.txt": "c.txt" });
      // Both messages about `b.txt`: the one about `c.txt` is deleted by and by.
      await until(async () => (await queue.count()).hidden <= 2, "the message about c.txt to go");
      for (let look = 0; look < 10; look++) {
        expect((await queue.count()).hidden).toBe(2);
        await sleep(20);
      }
      release();
      await shows(run, { "a.txt": "a.txt", "b.txt": "b.txt", "c.txt": "c.txt" });
      await emptied();
      await silent.discard(await silent.take(1));
    } finally {
      release();
      await between.close();
    }
  });

  it("asks again for what is larger than it was told, once there is memory for it", async () => {
    const keys = ["a.txt", "b.txt", "c.txt"];
    const large = (key: string) => key.repeat(5_000_000);
    const between = await standBetween(server);
    try {
      const run = await read({}, { endpoint: between.endpoint, maxBytes: 30 * 2 ** 20 });
      await emptied();
      await makeQueue(server, bucket); // its events go there; what we are told is made here, and wrong
      for (const key of keys) await bucket.put(key, large(key));
      const asked = () => between.seen.filter(({ url }) => url?.includes(".txt?")).length;
      // Two fit; each holds its memory until the third was let go.
      let letGo = () => {};
      const isLetGo = new Promise<void>((resolve) => (letGo = resolve));
      between.intercept = async ({ url = "", socket }) => {
        if (url.includes(".txt?")) socket.once("close", letGo);
        return undefined;
      };
      between.midway = () => Promise.race([isLetGo, sleep(15_000)]);
      const Records = keys.map((key) => ({
        eventName: "ObjectCreated:Put",
        s3: { bucket: { name: bucket.name }, object: { key, size: 5 } },
      }));
      await queue.send(JSON.stringify({ Records }));
      await shows(run, Object.fromEntries(keys.map((key) => [key, large(key)])));
      expect(asked()).toBe(keys.length + 1);
    } finally {
      await between.close();
    }
  }, 60_000);

  it("finds by listing what no message told", async () => {
    const run = await read({ listEveryMs: 1_000 });
    await emptied();
    await run.stop();
    const place = fakes.state();
    const other = await makeQueue(server, bucket); // the events go there from now on
    const again = await read({ listEveryMs: 1_000 }, { place });
    await bucket.put("a.txt", "1");
    await other.discard(await other.take(60)); // its test message, or the event itself
    await shows(again, { "a.txt": "1" });
    await bucket.remove("a.txt");
    await shows(again, {});
  });

  it("leaves what is no event in the queue, out of sight, and goes on", async () => {
    const run = await read();
    await emptied();
    const truncated = '{"Records": [{"eventName": "ObjectCrea';
    const foreign = JSON.stringify({
      Records: [{ eventName: "x", s3: { bucket: { name: "other" }, object: { key: "k" } } }],
    });
    const bodies = [truncated, "hello", "{}", '{"Records": [{}]}', "[1]", "null", foreign];
    for (const body of bodies) await queue.send(body);
    await bucket.put("a.txt", "1");
    await shows(run, { "a.txt": "1" });
    await until(
      async () => (await queue.count()).hidden === bodies.length,
      "the unreadable messages to be hidden",
    );
    const told = run.lines.filter(({ level }) => level === "warn");
    expect(told).toHaveLength(bodies.length);
    expect(JSON.stringify(told)).toContain("ObjectCrea");
    expect(run.counters.get("messages_unreadable{reason=unreadable}")).toBe(bodies.length - 1);
    expect(run.counters.get("messages_unreadable{reason=foreign}")).toBe(1);
    // Longer than the two seconds that a message of ours is hidden for.
    expect(await queue.take(0, 4)).toBeUndefined();
  });

  it("reads many records of one message, and none of another bucket", async () => {
    const run = await read();
    await emptied();
    const record = (name: string, key: string) => ({
      eventName: "ObjectCreated:Put",
      eventSource: "aws:s3",
      s3: { bucket: { name }, object: { key } },
    });
    const silent = await makeQueue(server, bucket);
    for (const key of ["a.txt", "b.txt", "c d.txt"]) await bucket.put(key, key);
    const Records = ["a.txt", "b.txt", "c+d.txt", "absent"].map((key) => record(bucket.name, key));
    await queue.send(JSON.stringify({ Records: [...Records, record("other", "a.txt")] }));
    await shows(run, { "a.txt": "a.txt", "b.txt": "b.txt", "c d.txt": "c d.txt" });
    await emptied();
    await silent.discard(await silent.take(1));
  });

  it("hides messages for as long as it holds them, and hands them back when it stops", async () => {
    const run = await read();
    await emptied();
    await bucket.put("first.txt", "1");
    run.pause();
    await run.until((events) => of(events, "first.txt").length === 1, "the first object");
    await bucket.put("second.txt", "1");
    await until(async () => (await queue.count()).hidden === 2, "two messages in hand");
    // Twice as long as one is hidden for.
    expect(await queue.take(0, 4)).toBeUndefined();
    expect((await queue.count()).hidden).toBe(2);
    expect(await run.stop()).toBeLessThan(1_000);
    expect(await queue.take(0, 1)).toBeDefined();
  });

  it("goes on when the queue answers again, and names one that is not there", async () => {
    const between = await standBetween(server);
    try {
      const run = await read({ queueUrl: queue.url.replace(server.endpoint, between.endpoint) });
      await emptied();
      let failures = 0;
      between.intercept = async () => ({ status: 500, body: `no ${failures++}` });
      await bucket.put("b.txt", "1"); // ends the poll that is under way
      await until(() => run.lines.some(({ message }) => /queue/.test(message)), "a warning");
      await bucket.put("a.txt", "1");
      between.intercept = async () => undefined;
      await shows(run, { "a.txt": "1", "b.txt": "1" });
      await emptied();

      const notifications = { queueUrl: `${queue.url}-absent` };
      const config = { ...bucket.config, notifications };
      const lost = await fakes.run(s3, { config });
      await expect(lost.ended).rejects.toMatchObject({ code: "s3.queue-missing" });
      const findings = await s3.check?.(fakes.context({ config: s3.config.parse(config) }));
      expect(findings?.map(({ code }) => code)).toEqual(["s3.bucket", "s3.queue-missing"]);
    } finally {
      await between.close();
    }
  });

  it("lives through a restart of the server", async () => {
    const run = await read();
    await bucket.put("a.txt", "1");
    await shows(run, { "a.txt": "1" });
    await emptied();
    await server.restart();
    await bucket.put("a.txt", "2");
    await shows(run, { "a.txt": "2" });
    await emptied();
  }, 60_000);
});

const bucket = await makeBucket(server);
const queue = await makeQueue(server, bucket);
describe("s3 that is told by a queue keeps what a source must:", () => {
  const origin = {
    put: async (key: string, text: string) => {
      await bucket.put(`${key}.md`, text);
      return `${key}.md`;
    },
    remove: (key: string) => bucket.remove(`${key}.md`),
  };
  const notifications = { queueUrl: queue.url, visibilitySeconds: 2 };
  const given = { source: s3, config: { ...bucket.config, notifications }, origin };
  // The poll of a run that was stopped may hide a message for two seconds.
  for (const { name, run } of sourceConformance({ ...given, patienceMs: 15_000 })) it(name, run);
});
