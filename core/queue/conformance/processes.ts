import assert from "node:assert/strict";
import { FencedError } from "../../errors.ts";
import type { Fence } from "../../state/state.ts";
import { assertExact, change, inOrder, partitionsOf, summary } from "./events.ts";
import { aborted, until } from "./until.ts";
import { type Cases, leaseMs, type Party } from "./world.ts";

/** Several processes: crashes, hand-overs, stops, and holders that lost their lease. */
export const processes: Cases = [
  [
    "a batch whose process was killed goes to another one, first, and is marked as redelivered",
    async (world) => {
      const { topics } = await world.open({ partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(topics, [change("x", 1), change("x", 2)]);
      await world.publish(topics, [change("x", 3)]);
      const child = world.child("s", { partitions: 1, does: "hang" });
      await child.received(1);
      child.process.kill("SIGKILL");
      await child.exited;
      const reader = world.consume(topics, "s");
      await world.drained(topics);
      assert.deepEqual(reader.batches.map(summary), [
        { events: ["x1", "x2"], redelivered: true },
        { events: ["x3"], redelivered: false },
      ]);
    },
  ],
  [
    "an orderly stop hands its batch to a waiting process within a second",
    async (world) => {
      const [first, second] = [
        await world.open({ partitions: 1 }),
        await world.open({ partitions: 1 }),
      ];
      await first.topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(first.topics, [change("x", 1)]);
      await world.publish(first.topics, [change("x", 2)]);
      const stopped = world.consume(first.topics, "s", (_, { signal }) => aborted(signal));
      await until(() => stopped.batches.length === 1);
      const next = world.consume(second.topics, "s");
      await until(async () => (await world.status(second.topics, "s"))?.consumers === 2);
      assert.equal(next.batches.length, 0);
      const at = performance.now();
      await stopped.stop();
      await until(() => next.batches.length > 0);
      assert.ok(performance.now() - at < 1_000, "handed over within a second");
      await world.drained(second.topics);
      assertExact(next.seen, { x: 2 });
      assert.equal(stopped.batches.length, 1);
    },
  ],
  [
    "a batch that is handled when the stop comes is acknowledged, not repeated",
    async (world) => {
      const { topics } = await world.open({ partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(topics, [change("x", 1)]);
      const reader = world.consume(topics, "s", (_, { signal }) => aborted(signal).catch(() => {}));
      await until(() => reader.batches.length === 1);
      await reader.stop();
      assert.equal((await world.status(topics, "s"))?.waiting, 0);
    },
  ],
  [
    "a long handle keeps its partition, and its deadline moves with the lease",
    async (world) => {
      const [first, second] = [
        await world.open({ partitions: 1 }),
        await world.open({ partitions: 1 }),
      ];
      await first.topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(first.topics, [change("x", 1)]);
      let moved = false;
      const reader = world.consume(first.topics, "s", async (_, run) => {
        const deadline = run.deadline;
        assert.ok(deadline > performance.now());
        await until(() => run.deadline > deadline + 2 * leaseMs);
        moved = !run.signal.aborted;
      });
      await until(() => reader.batches.length === 1);
      const other = world.consume(second.topics, "s");
      await world.drained(first.topics);
      assert.ok(moved);
      assert.equal(reader.batches.length + other.batches.length, 1);
    },
  ],
  [
    "a holder that lost its lease while it handled cannot acknowledge",
    async (world) => {
      const [zombie, heir] = [
        await world.open({ partitions: 1 }),
        await world.open({ partitions: 1 }),
      ];
      await heir.topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(heir.topics, [change("x", 1)]);
      await world.publish(heir.topics, [change("x", 2)]);
      const lost = world.consume(zombie.topics, "s", (_, { signal }) =>
        aborted(signal).catch(() => {}),
      );
      await until(() => lost.batches.length === 1);
      const next = world.consume(heir.topics, "s");
      await zombie.state.close(); // its renewals fail from now on
      await world.drained(heir.topics);
      assert.deepEqual(next.batches.map(summary), [
        { events: ["x1"], redelivered: true },
        { events: ["x2"], redelivered: false },
      ]);
      assert.equal(lost.batches.length, 1);
    },
  ],
  [
    "a process that stood still and comes back cannot acknowledge",
    async (world) => {
      const { topics } = await world.open({ partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(topics, [change("x", 1)]);
      await world.publish(topics, [change("x", 2)]);
      const child = world.child("s", { partitions: 1, does: "hang" });
      await child.received(1);
      child.process.kill("SIGSTOP");
      const reader = world.consume(topics, "s", async () => {
        if (reader.batches.length > 1) return;
        child.process.kill("SIGCONT");
        child.tell("finish");
        child.tell("stop");
        await child.exited;
        assert.equal((await world.status(topics, "s"))?.waiting, 2);
      });
      await world.drained(topics);
      assert.deepEqual(reader.batches.map(summary), [
        { events: ["x1"], redelivered: true },
        { events: ["x2"], redelivered: false },
      ]);
      assert.equal(child.batches.length, 1);
    },
  ],
  [
    "two processes share the partitions fairly, and nothing is lost when one leaves",
    async (world) => {
      const partitions = 4;
      const [first, second] = [await world.open({ partitions }), await world.open({ partitions })];
      await first.topics.subscribe({ topic: world.topic, name: "s" });
      const stays = world.consume(first.topics, "s");
      const traffic = world.traffic(first.topics);
      await until(() => partitionsOf(stays.recent(30), partitions).size === partitions);
      const leaves = world.consume(second.topics, "s");
      await until(
        () =>
          partitionsOf(stays.recent(30), partitions).size === 2 &&
          partitionsOf(leaves.recent(30), partitions).size === 2,
      );
      assert.equal((await world.status(first.topics, "s"))?.consumers, 2);
      await leaves.stop();
      await until(() => partitionsOf(stays.recent(30), partitions).size === partitions);
      assert.equal((await world.status(first.topics, "s"))?.consumers, 1);
      const sent = await traffic.stop();
      await world.drained(first.topics);
      assertExact(inOrder(stays.seen, leaves.seen), sent, { repeats: true });
      assert.ok(stays.batches.concat(leaves.batches).every(({ redelivered }) => !redelivered));
    },
  ],
  [
    "a killed process loses nothing: the others take its partitions over",
    async (world) => {
      const partitions = 4;
      const { topics } = await world.open({ partitions });
      await topics.subscribe({ topic: world.topic, name: "s" });
      const reader = world.consume(topics, "s");
      const child = world.child("s", { partitions, does: "consume" });
      const traffic = world.traffic(topics);
      await until(
        () => child.batches.length > 5 && partitionsOf(reader.recent(30), partitions).size === 2,
      );
      child.process.kill("SIGKILL");
      await child.exited;
      await until(() => partitionsOf(reader.recent(30), partitions).size === partitions);
      const sent = await traffic.stop();
      await world.drained(topics);
      assertExact(inOrder(reader.seen, child.seen), sent, { repeats: true });
    },
  ],
  [
    "a child told to stop leaves no batch behind",
    async (world) => {
      // Nobody consumes between the child and the reader: on a busy machine more than 100 jobs wait by then.
      const { topics } = await world.open({ maxWaiting: 10_000 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      const child = world.child("s", { does: "consume" });
      const traffic = world.traffic(topics);
      await child.received(10);
      child.tell("stop");
      await child.exited;
      const sent = await traffic.stop();
      const reader = world.consume(topics, "s");
      await world.drained(topics);
      assertExact(inOrder(child.seen, reader.seen), sent);
      assert.ok(reader.batches.every(({ redelivered }) => !redelivered));
    },
  ],
  [
    "closing ends what consumes, within its grace",
    async (world) => {
      const { topics } = await world.open();
      await topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(topics, [change("x", 1)]);
      const reader = world.consume(topics, "s", (_, { signal }) => aborted(signal));
      await until(() => reader.batches.length === 1);
      const at = performance.now();
      await topics.close(2_000);
      await reader.done;
      assert.ok(performance.now() - at < 2_000);
    },
  ],
  [
    "who published under a lease publishes nothing more once its next holder has",
    async (world) => {
      const [first, second] = [
        await world.open({ partitions: 1 }),
        await world.open({ partitions: 1 }),
      ];
      await first.topics.subscribe({ topic: world.topic, name: "s" });
      const by = (lease: string, token: number) => ({ lease, token });
      const { signal } = new AbortController();
      const publish = ({ topics }: Party, key: string, n: number, fence: Fence) =>
        topics.publish(world.topic, [change(key, n)], { signal, fence });
      await publish(first, "x", 1, by("reader", 7));
      await publish(second, "x", 2, by("reader", 8));
      await assert.rejects(publish(first, "x", 1, by("reader", 7)), FencedError);
      await publish(first, "y", 1, by("another reader", 7));
      await publish(second, "x", 3, by("reader", 8));
      const reader = world.consume(second.topics, "s");
      await world.drained(second.topics);
      assertExact(reader.seen, { x: 3, y: 1 });
    },
  ],
];
