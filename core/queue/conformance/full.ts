import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { assertExact, change, range } from "./events.ts";
import { until } from "./until.ts";
import { type Cases } from "./world.ts";

/** What happens to a topic that is full, or has nobody to give its events to. */
export const full: Cases = [
  [
    "a full backlog holds publish and lets it go on when there is room",
    async (world) => {
      const { topics } = await world.open({ partitions: 1, maxWaiting: 10 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      await topics.subscribe({ topic: world.topic, name: "quick" });
      const quick = world.consume(topics, "quick");
      let published = 0;
      const publishing = (async () => {
        for (const n of range(1, 60)) {
          await world.publish(topics, [change("x", n)]);
          published = n;
        }
      })();
      await until(() => published >= 10);
      await sleep(150); // nothing to wait for: what must not happen is that it goes on
      assert.ok(published <= 20, `${published} published, 10 may wait`);
      const reader = world.consume(topics, "s");
      await publishing;
      await world.drained(topics);
      for (const { seen } of [reader, quick]) assertExact(seen, { x: 60 });
    },
  ],
  [
    "a publish aborted while the topic is full leaves nothing behind a later success",
    async (world) => {
      const { topics } = await world.open({ maxWaiting: 2 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      const keys = range(1, 12).map((key) => `key-${key}`);
      let whole = 0;
      for (;;) {
        const signal = AbortSignal.timeout(300);
        const sent = topics.publish(
          world.topic,
          keys.map((key) => change(key, whole + 1)),
          { signal },
        );
        const outcome = await sent.then(
          () => "published",
          (error: Error) => error.name,
        );
        if (outcome !== "published") {
          assert.equal(outcome, "TimeoutError");
          break;
        }
        whole++;
      }
      assert.ok(whole >= 2);
      const reader = world.consume(topics, "s");
      await world.drained(topics);
      await world.publish(
        topics,
        keys.map((key) => change(key, whole + 1)),
      );
      await world.drained(topics);
      assertExact(reader.seen, Object.fromEntries(keys.map((key) => [key, whole + 1])));
    },
  ],
  [
    "a topic without a subscription holds publish until there is one, which gets the events",
    async (world) => {
      const [first, second] = [await world.open(), await world.open()];
      let done = false;
      const publishing = world.publish(first.topics, [change("x", 1)]).then(() => (done = true));
      const given = new AbortController();
      const givenUp = first.topics.publish(`${world.topic}-other`, [change("y", 1)], given);
      given.abort();
      await assert.rejects(givenUp, { name: "AbortError" });
      assert.equal(done, false);
      await second.topics.subscribe({ topic: world.topic, name: "s" });
      await publishing;
      const reader = world.consume(second.topics, "s");
      await world.drained(second.topics);
      assertExact(reader.seen, { x: 1 });
    },
  ],
  [
    "an optional topic without a subscription drops its events",
    async (world) => {
      const { topics } = await world.open({ optional: true });
      await world.publish(topics, [change("x", 1)]);
      await topics.subscribe({ topic: world.topic, name: "s" });
      const reader = world.consume(topics, "s");
      await world.publish(topics, [change("y", 1)]);
      await world.drained(topics);
      assertExact(reader.seen, { y: 1 });
    },
  ],
  [
    "one that is to be detached when it is full ends with what waited, and holds nobody back (Invariant 13)",
    async (world) => {
      const { topics } = await world.open({ maxWaiting: 3, partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "stays" });
      const slow = { topic: world.topic, name: "slow", whenFull: "detach" } as const;
      await topics.subscribe(slow);
      const reader = world.consume(topics, "stays");
      const gate = new AbortController();
      const late = world.consume(topics, "slow", async () => {
        if (!gate.signal.aborted) await once(gate.signal, "abort");
      });
      await world.publish(topics, [change("x", 1)]);
      await until(() => late.batches.length === 1);
      for (const n of range(2, 20)) await world.publish(topics, [change("x", n)]);
      await until(() => reader.seen.length === 20);
      assertExact(reader.seen, { x: 20 });
      const gone = await world.status(topics, "slow");
      assert.ok(gone?.detached && gone.detached.events >= 3, JSON.stringify(gone));
      assert.ok(Math.abs(Date.parse(gone.detached.at) - Date.now()) < 60_000);
      assert.deepEqual(
        (await topics.subscribers(world.topic)).map(({ name }) => name),
        ["stays"],
      );
      gate.abort();
      assert.equal(await topics.subscribe(slow), "new");
      assert.equal((await world.status(topics, "slow"))?.detached, undefined);
      await world.publish(topics, [change("x", 21)]);
      await until(() => late.seen.some(({ n }) => n === 21));
      assert.ok(!late.seen.some(({ n }) => n > 4 && n < 21), JSON.stringify(late.seen));
    },
  ],
  [
    "one that is detached alone leaves its topic as one without a subscription",
    async (world) => {
      const { topics } = await world.open({ maxWaiting: 2, partitions: 1 });
      const alone = { topic: world.topic, name: "alone", whenFull: "detach" } as const;
      await topics.subscribe(alone);
      let published = 0;
      const publishing = (async () => {
        for (const n of range(1, 6)) {
          await world.publish(topics, [change("x", n)]);
          published = n;
        }
      })();
      await until(async () => (await world.status(topics, "alone"))?.detached !== undefined);
      const held = published;
      await topics.subscribe({ topic: world.topic, name: "next" });
      const next = world.consume(topics, "next");
      await publishing;
      await until(() => next.seen.length > 0 && next.seen.at(-1)?.n === 6);
      // The publish that ended it may not have returned by then.
      const first = next.seen[0]?.n ?? 0;
      assert.ok(first === held + 1 || first === held + 2, `${first} first, ${held} published`);
      assert.deepEqual(
        next.seen.map(({ n }) => n),
        range(first, 6),
      );
    },
  ],
];
