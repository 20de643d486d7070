import assert from "node:assert/strict";
import { assertExact, change, inOrder, nOf, range, summary } from "./events.ts";
import { until } from "./until.ts";
import type { Cases } from "./world.ts";

/** What breaks in the middle: the place, a publisher, an event loop. */
export const interruptions: Cases = [
  [
    "a place that goes away in mid-stream and comes back loses nothing, and keeps the order",
    async (world) => {
      const { topics } = await world.open();
      await topics.subscribe({ topic: world.topic, name: "s" });
      const reader = world.consume(topics, "s");
      const traffic = world.traffic(topics);
      for (const times of [1, 2]) {
        await until(() => reader.batches.length > 20 * times);
        await world.interrupt();
      }
      const sent = await traffic.stop();
      await world.drained(topics);
      assertExact(reader.seen, sent, { repeats: true });
    },
  ],
  [
    "what a killed publisher had on its way is there or not, and nothing is lost or out of order when it is published again",
    async (world) => {
      const { topics } = await world.open({ maxWaiting: 10_000 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      const dead = world.child("s", { does: "publish", maxWaiting: 10_000 });
      await dead.received(30);
      dead.process.kill("SIGKILL");
      await dead.exited;
      const told = dead.batches.flatMap(({ events }) => events.map(nOf)).at(-1) ?? 0;
      for (const n of range(told + 1, told + 20)) await world.publish(topics, [change("x", n)]);
      const reader = world.consume(topics, "s");
      await world.drained(topics);
      assertExact(reader.seen, { x: told + 20 }, { repeats: true });
    },
  ],
  [
    "a process whose event loop stood still beyond its lease cannot acknowledge, and does not stop the next one",
    async (world) => {
      const { topics } = await world.open({ partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(topics, [change("x", 1)]);
      await world.publish(topics, [change("x", 2)]);
      const blocked = world.child("s", { does: "block", partitions: 1 });
      await blocked.received(1);
      const reader = world.consume(topics, "s");
      await world.drained(topics);
      assert.deepEqual(reader.batches.map(summary), [
        { events: ["x1"], redelivered: true },
        { events: ["x2"], redelivered: false },
      ]);
      for (const n of range(3, 12)) await world.publish(topics, [change("x", n)]);
      await world.drained(topics);
      assertExact(inOrder(reader.seen, blocked.seen), { x: 12 }, { repeats: true });
      const repeated = inOrder(reader.seen, blocked.seen).filter(({ n }) => n > 1);
      assert.equal(repeated.length, 11);
    },
  ],
];
