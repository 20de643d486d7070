import assert from "node:assert/strict";
import { assertExact, change, range } from "./events.ts";
import { until } from "./until.ts";
import { type Cases } from "./world.ts";

/** Those who watch and do not subscribe. */
export const taps: Cases = [
  [
    "a tap sees what other processes publish from then on, subscribes to nothing and holds nothing back",
    async (world) => {
      const [{ topics }, { topics: others }] = [
        await world.open({ maxWaiting: 2 }),
        await world.open({ maxWaiting: 2 }),
      ];
      await topics.subscribe({ topic: world.topic, name: "s" });
      const reader = world.consume(topics, "s");
      await world.publish(others, [change("before", 1)]);
      const tap = await world.tap(topics);
      for (const n of range(1, 20)) await world.publish(others, [change("x", n), change("y", n)]);
      await until(() => tap.seen.length === 40);
      assertExact(tap.seen, { x: 20, y: 20 });
      await world.drained(topics);
      assertExact(reader.seen, { before: 1, x: 20, y: 20 });
      assert.deepEqual(
        (await topics.subscriptions(world.topic)).map(({ name }) => name),
        ["s"],
      );
    },
  ],
  [
    "a tap of an optional topic sees what nobody else gets",
    async (world) => {
      const { topics } = await world.open({ optional: true });
      const tap = await world.tap(topics);
      await world.publish(topics, [change("x", 1)]);
      await until(() => tap.seen.length === 1);
      assertExact(tap.seen, { x: 1 });
    },
  ],
  [
    "who taps too slowly is told how much it missed, and sees the rest in order",
    async (world) => {
      const { topics } = await world.open();
      await topics.subscribe({ topic: world.topic, name: "s" });
      world.consume(topics, "s");
      const tap = await world.tap(topics, { isSlow: true });
      for (const n of range(1, 150))
        await world.publish(
          topics,
          range(1, 20).map((key) => change(`key-${key}`, n)),
        );
      await world.drained(topics);
      tap.goOn();
      await until(() => tap.seen.length + tap.missed === 150 * 20);
      assert.ok(tap.missed > 0 && tap.seen.length > 0, `missed ${tap.missed}`);
      const last = new Map<string, number>();
      for (const { key, n } of tap.seen) {
        assert.ok(n > (last.get(key) ?? 0), `${key}: ${n} came after ${last.get(key)}`);
        last.set(key, n);
      }
    },
  ],
  [
    "a tap ends on abort, and with the queue",
    async (world) => {
      const { topics } = await world.open();
      const [aborted, closed] = [await world.tap(topics), await world.tap(topics)];
      await aborted.stop();
      await topics.close(1_000);
      await closed.done;
    },
  ],
];
