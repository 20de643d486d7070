import assert from "node:assert/strict";
import { once } from "node:events";
import { timeOfId } from "../../timed-id.ts";
import { assertExact, change, nOf, range } from "./events.ts";
import { until } from "./until.ts";
import { type Cases } from "./world.ts";

/** Who joins, who leaves, and what is told of them. */
export const subscriptions: Cases = [
  [
    "a late subscription gets what is published from then on, and no event in between is lost",
    async (world) => {
      const [first, second] = [await world.open(), await world.open()];
      await first.topics.subscribe({ topic: world.topic, name: "early" });
      const early = world.consume(first.topics, "early");
      let published = 0;
      const publishing = (async () => {
        for (const n of range(1, 100)) {
          await world.publish(first.topics, [change("x", n), change("y", n)]);
          published = n;
        }
      })();
      await until(() => published >= 20);
      await second.topics.subscribe({ topic: world.topic, name: "late" });
      const before = published;
      const late = world.consume(second.topics, "late");
      await publishing;
      await world.drained(first.topics);
      assertExact(early.seen, { x: 100, y: 100 });
      for (const key of ["x", "y"]) {
        const got = late.seen.filter((event) => event.key === key).map(({ n }) => n);
        assert.ok((got[0] ?? 0) <= before + 2, `${got[0]} is the first, ${before} were published`);
        assert.deepEqual(got, range(got[0] ?? 0, 100));
      }
    },
  ],
  [
    "unsubscribing drops what waited, and holds nobody back",
    async (world) => {
      const { topics } = await world.open({ maxWaiting: 3 });
      for (const name of ["stays", "leaves"]) await topics.subscribe({ topic: world.topic, name });
      const reader = world.consume(topics, "stays");
      const publishing = (async () => {
        for (const n of range(1, 20)) await world.publish(topics, [change("x", n)]);
      })();
      await until(async () => ((await world.status(topics, "leaves"))?.waiting ?? 0) >= 3);
      await topics.unsubscribe(world.topic, "leaves");
      await topics.unsubscribe(world.topic, "leaves");
      await publishing;
      await world.drained(topics);
      assertExact(reader.seen, { x: 20 });
      assert.deepEqual(
        (await topics.subscriptions(world.topic)).map(({ name }) => name),
        ["stays"],
      );
      assert.equal(await topics.subscribe({ topic: world.topic, name: "leaves" }), "new");
      assert.equal((await world.status(topics, "leaves"))?.waiting, 0);
    },
  ],
  [
    "the status tells what waits, since when, and who consumes",
    async (world) => {
      const { topics } = await world.open();
      await topics.subscribe({ topic: world.topic, name: "s" });
      const empty = { topic: world.topic, name: "s", waiting: 0, oldestMs: 0, consumers: 0 };
      assert.deepEqual(await topics.subscriptions(world.topic), [empty]);
      await world.publish(
        topics,
        range(1, 7).map((n) => change(`key-${n}`, 1)),
      );
      await until(async () => ((await world.status(topics, "s"))?.oldestMs ?? 0) >= 50);
      assert.equal((await world.status(topics, "s"))?.waiting, 7);
      const reader = world.consume(topics, "s");
      await until(async () => (await world.status(topics, "s"))?.consumers === 1);
      await world.drained(topics);
      await reader.stop();
      assert.deepEqual(await topics.subscriptions(world.topic), [empty]);
      assert.ok((await topics.subscriptions()).some(({ topic }) => topic === world.topic));
    },
  ],
  [
    "subscribers tell who is there, since when, and that one has come back",
    async (world) => {
      const { topics } = await world.open();
      assert.deepEqual(await topics.subscribers(world.topic), []);
      const before = Date.now();
      await topics.subscribe({ topic: world.topic, name: "a" });
      await topics.subscribe({ topic: world.topic, name: "b" });
      await topics.subscribe({ topic: world.topic, name: "a" });
      const generations = async () =>
        new Map((await topics.subscribers(world.topic)).map((one) => [one.name, one.generation]));
      const first = await generations();
      assert.deepEqual([...first.keys()].toSorted(), ["a", "b"]);
      for (const generation of first.values()) {
        const since = timeOfId(generation) ?? 0;
        assert.ok(since >= before && since <= Date.now(), generation);
      }
      await topics.unsubscribe(world.topic, "a");
      assert.deepEqual([...(await generations()).keys()], ["b"]);
      await topics.subscribe({ topic: world.topic, name: "a" });
      const second = await generations();
      assert.notEqual(second.get("a"), first.get("a"));
      assert.equal(second.get("b"), first.get("b"));
    },
  ],
  [
    "another number of partitions is refused while events wait",
    async (world) => {
      const [before, after] = [
        await world.open({ partitions: 4 }),
        await world.open({ partitions: 8 }),
      ];
      await before.topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(before.topics, [change("x", 1)]);
      await assert.rejects(
        world.publish(after.topics, [change("x", 2)]),
        (error: { name: string; code?: string; message: string; fix?: string }) =>
          error.name === "ConfigError" &&
          error.code === "queue.partitions-changed" &&
          [world.topic, "4", "8"].every((part) => error.message.includes(part)) &&
          error.fix !== undefined,
      );
      const reader = world.consume(before.topics, "s");
      await world.drained(before.topics);
      assertExact(reader.seen, { x: 1 });
    },
  ],
  [
    "who consumes with another number of partitions than a live process is told, and loses nothing",
    async (world) => {
      const [four, two] = [
        await world.open({ partitions: 4 }),
        await world.open({ partitions: 2 }),
      ];
      await two.topics.subscribe({ topic: world.topic, name: "s" });
      const seen = new Set<unknown>();
      const told = assert.rejects(
        two.topics.consume(
          world.topic,
          "s",
          async (events) => events.forEach(({ subject }) => seen.add(subject)),
          { signal: AbortSignal.timeout(20_000) },
        ),
        (error: { code?: string; message: string }) =>
          error.code === "queue.partitions-changed" &&
          [world.topic, "4", "2"].every((part) => error.message.includes(part)),
      );
      const keys = range(1, 8).map(String);
      await world.publish(
        four.topics,
        keys.map((key) => change(key, 1)),
      );
      await told;
      const rest = world.consume(four.topics, "s");
      await world.drained(four.topics);
      for (const { key } of rest.seen) seen.add(key);
      assert.deepEqual(seen, new Set<unknown>(keys));
    },
  ],
  [
    "what waits behind the job that is handled can be looked at, and stays",
    async (world) => {
      const { topics } = await world.open({ partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      assert.deepEqual(await topics.peek(world.topic, "s"), []);
      const gate = new AbortController();
      const reader = world.consume(topics, "s", async () => {
        if (!gate.signal.aborted) await once(gate.signal, "abort");
      });
      await world.publish(topics, [change("x", 1)]);
      await until(() => reader.batches.length === 1);
      await world.publish(topics, [change("x", 2), change("y", 1)]);
      await world.publish(topics, [change("z", 1)]);
      const peeked = async (skip?: number) =>
        (await topics.peek(world.topic, "s", skip)).map((event) => `${event.subject}${nOf(event)}`);
      assert.deepEqual(await peeked(), ["x2", "y1"]);
      assert.deepEqual(await peeked(1), ["z1"]);
      assert.deepEqual(await peeked(2), []);
      assert.deepEqual(await topics.peek(world.topic, "nobody"), []);
      gate.abort();
      await world.drained(topics);
      assertExact(reader.seen, { x: 2, y: 1, z: 1 });
    },
  ],
];
