import assert from "node:assert/strict";
import { cleared } from "../../event.ts";
import { partitionOf } from "../partition.ts";
import { assertExact, byJson, change, nOf, range, summary, versionOf } from "./events.ts";
import { type Cases, type World } from "./world.ts";

/** Who gets what, in which order, and how often. */
export const order: Cases = [
  [
    "every subscription gets every event, in order",
    async (world) => {
      const { topics } = await world.open();
      const readers = [];
      for (const name of ["a", "b"]) {
        assert.equal(await topics.subscribe({ topic: world.topic, name }), "new");
        assert.equal(await topics.subscribe({ topic: world.topic, name }), "known");
        readers.push(world.consume(topics, name));
      }
      await world.publish(
        topics,
        range(1, 50).flatMap((n) => [change("x", n), change("y", n)]),
      );
      await world.publish(
        topics,
        range(51, 60).flatMap((n) => [change("x", n), change("y", n)]),
      );
      await world.drained(topics);
      for (const { seen } of readers) assertExact(seen, { x: 60, y: 60 });
    },
  ],
  ...[1, 4].map(
    (partitions) =>
      [
        `order holds per key, ${partitions} partition(s)`,
        async (world: World) => {
          const { topics } = await world.open({ partitions });
          await topics.subscribe({ topic: world.topic, name: "s" });
          const reader = world.consume(topics, "s");
          const keys = range(1, 17).map((key) => `key-${key}`);
          for (const n of range(1, 40))
            await world.publish(
              topics,
              keys.map((key) => change(key, n)),
            );
          await world.drained(topics);
          assertExact(reader.seen, Object.fromEntries(keys.map((key) => [key, 40])));
          assert.equal(reader.mostAtOnce <= partitions, true);
        },
      ] as const,
  ),
  [
    "a batch whose handle threw is repeated, whole and first",
    async (world) => {
      const { topics } = await world.open({ partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(topics, [change("x", 1), change("x", 2)]);
      await world.publish(topics, [change("x", 3)]);
      let failures = 2;
      const reader = world.consume(topics, "s", async () => {
        if (failures-- > 0) throw new Error("the sink is away");
      });
      await world.drained(topics);
      assert.deepEqual(reader.batches.map(summary), [
        { events: ["x1", "x2"], redelivered: false },
        { events: ["x1", "x2"], redelivered: true },
        { events: ["x1", "x2"], redelivered: true },
        { events: ["x3"], redelivered: false },
      ]);
    },
  ],
  [
    "an event with an audience reaches that subscription only, and holds up no other",
    async (world) => {
      const { topics } = await world.open({ partitions: 1, maxWaiting: 5 });
      for (const name of ["a", "b"]) await topics.subscribe({ topic: world.topic, name });
      const reader = world.consume(topics, "a");
      for (const n of range(1, 30))
        await world.publish(topics, [change("x", n, { audience: "a" })]);
      await world.publish(topics, [
        change("y", 1),
        change("z", 1, { audience: "a/b/c" }), // on its way to c: a passes it on
        change("y", 2),
      ]);
      const other = world.consume(topics, "b");
      await world.drained(topics);
      assertExact(reader.seen, { x: 30, y: 2, z: 1 });
      assertExact(other.seen, { y: 2 });
    },
  ],
  [
    "a clear reaches every partition with its scope, between the events around it",
    async (world) => {
      const partitions = 4;
      const { topics } = await world.open({ partitions });
      await topics.subscribe({ topic: world.topic, name: "s" });
      const keys = range(1, 20).map((key) => `key-${key}`);
      const clear = cleared({
        source: "/conformance",
        below: versionOf(2),
        reason: "truncate",
        time: "2026-01-01T00:00:00Z",
        meta: {},
      });
      await world.publish(
        topics,
        keys.map((key) => change(key, 1)),
      );
      await world.publish(topics, [clear]);
      await world.publish(
        topics,
        keys.map((key) => change(key, 2)),
      );
      const reader = world.consume(topics, "s");
      await world.drained(topics);
      const all = reader.batches.flatMap(({ events }) => events);
      const clears = all.filter(({ type }) => type === "dev.sluice.collection.cleared");
      assert.deepEqual(
        clears.map(({ data }) => (data as { scope: unknown }).scope).toSorted(byJson),
        range(0, partitions - 1).map((partition) => ({ partition, of: partitions })),
      );
      assert.equal(new Set(clears.map(({ id }) => id)).size, partitions);
      for (const key of keys) {
        const partition = partitionOf(change(key, 1), partitions);
        const order = all.filter(
          ({ subject, data }) =>
            subject === key ||
            (data as { scope?: { partition: number } }).scope?.partition === partition,
        );
        assert.deepEqual(
          order.map(({ subject }) => subject),
          [key, "*", key],
        );
      }
    },
  ],
  [
    "an event that always fails loses no other, once its consumer skips it",
    async (world) => {
      const { topics } = await world.open({ partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      let attempts = 0;
      const handled: string[] = [];
      world.consume(topics, "s", async (events) => {
        for (const event of events) {
          const poison = event.subject === "poison";
          if (poison && ++attempts < 3) throw new Error("it can never succeed");
          if (!poison) handled.push(`${event.subject}${nOf(event)}`);
        }
      });
      await world.publish(topics, [change("x", 1), change("poison", 1), change("x", 2)]);
      await world.publish(topics, [change("x", 3)]);
      await world.drained(topics);
      assert.deepEqual(handled, ["x1", "x1", "x1", "x2", "x3"]);
    },
  ],
];
