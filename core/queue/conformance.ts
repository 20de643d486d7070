import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { WriteRun } from "../connector.ts";
import { cleared, upserted, type SluiceEvent } from "../event.ts";
import type { StatePlace } from "../state/state.ts";
import { timeOfId } from "../timed-id.ts";
import { version } from "../version.ts";
import type { ChildBatch, ChildMessage, ChildOrder } from "./conformance-child.ts";
import { partitionOf } from "./partition.ts";
import type { Topics, TopicSettings } from "./queue.ts";

export interface Case {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** One process, as the suite sees it. */
export interface Party {
  readonly topics: Topics;
  readonly state: StatePlace;
}

export interface PartyOptions extends TopicSettings {
  readonly leaseMs: number;
  readonly writeTimeoutMs: number;
}

/**
 * What every implementation of `Topics` must keep.
 *
 * - `open` opens the same place each time: opened twice, the two play two processes. Every topic has
 *   the settings in its options.
 * - `child` is a script that calls `consumeAsChild` on that same place; it gets `childArguments`, then its order.
 *
 * Cases use topics of their own and may share a place.
 */
export function queueConformance(backend: {
  readonly open: (options: PartyOptions) => Promise<Party>;
  readonly child: URL;
  readonly childArguments: () => readonly string[];
}): readonly Case[] {
  return cases.map(([name, run], at) => ({
    name,
    run: async () => {
      const world = openWorld(backend, `case-${at}`);
      try {
        await run(world);
      } finally {
        await world.end();
      }
    },
  }));
}

const leaseMs = 600;

const cases: readonly (readonly [name: string, run: (world: World) => Promise<void>])[] = [
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
    "a batch whose process was killed goes to another one, first, and is marked as redelivered",
    async (world) => {
      const { topics } = await world.open({ partitions: 1 });
      await topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(topics, [change("x", 1), change("x", 2)]);
      await world.publish(topics, [change("x", 3)]);
      const child = world.child("s", { partitions: 1, hang: true });
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
      const child = world.child("s", { partitions: 1, hang: true });
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
    "an invalid event rejects its publish, and nothing of it is published",
    async (world) => {
      const { topics } = await world.open();
      await topics.subscribe({ topic: world.topic, name: "s" });
      const reader = world.consume(topics, "s");
      const invalid = { ...change("y", 1), sequence: "not a version" } as SluiceEvent;
      await assert.rejects(
        world.publish(topics, [change("x", 1), change("z", 1), invalid]),
        (error: { code?: string }) => error.code === "event.invalid",
      );
      await world.publish(topics, [change("after", 1)]);
      await world.drained(topics);
      assertExact(reader.seen, { after: 1 });
    },
  ],
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
    "texts that some store refuses arrive mended, everything else unchanged",
    async (world) => {
      const { topics } = await world.open();
      await topics.subscribe({ topic: world.topic, name: "s" });
      const reader = world.consume(topics, "s");
      const after = {
        text: "a\0b\uD800c\u{1F600}",
        "k\0": 1.5,
        z: null,
        a: [true, { ü: '\n"\\' }],
      };
      await world.publish(topics, [change("x", 1, { after })]);
      await world.drained(topics);
      assert.deepEqual(reader.batches[0]?.events, [
        change("x", 1, {
          after: {
            text: "a\u{FFFD}b\u{FFFD}c\u{1F600}",
            "k\u{FFFD}": 1.5,
            z: null,
            a: [true, { ü: '\n"\\' }],
          },
        }),
      ]);
    },
  ],
  [
    "events of 5 MB travel whole",
    async (world) => {
      // On a busy machine their JSON alone may block the process for longer than the usual lease.
      const { topics } = await world.open({ leaseMs: 5_000 });
      for (const name of ["a", "b"]) await topics.subscribe({ topic: world.topic, name });
      const readers = ["a", "b"].map((name) => world.consume(topics, name));
      const large = range(1, 3).map((n) =>
        change("x", n, { after: { n, text: `ü${n}`.repeat(2_000_000) } }),
      );
      await world.publish(topics, [...large, change("y", 1)]);
      await world.drained(topics);
      for (const { batches, seen } of readers) {
        assertExact(seen, { x: 3, y: 1 });
        const got = batches
          .flatMap(({ events }) => events)
          .filter(({ subject }) => subject === "x");
        assert.ok(got.every((event, at) => JSON.stringify(event) === JSON.stringify(large[at])));
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
      const peeked = await topics.peek(world.topic, "s");
      assert.deepEqual(
        peeked.map((event) => `${event.subject}${nOf(event)}`),
        ["x2", "y1"],
      );
      assert.deepEqual(await topics.peek(world.topic, "nobody"), []);
      gate.abort();
      await world.drained(topics);
      assertExact(reader.seen, { x: 2, y: 1, z: 1 });
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
      const child = world.child("s", { partitions, hang: false });
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
      const child = world.child("s", { hang: false });
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
    "one record's events can be taken out of all that waits, and nothing else",
    async (world) => {
      const { topics } = await world.open({ partitions: 2 });
      for (const name of ["a", "b"]) await topics.subscribe({ topic: world.topic, name });
      await world.publish(
        topics,
        range(1, 20).flatMap((n) => [change("x", n), change("y", n), change('x"', n)]),
      );
      await world.publish(topics, [change("x", 21)]);
      const { source } = change("x", 1);
      const has = (subject: string) => subject === "x";
      assert.equal(await topics.erase({ source: `${source}s`, has }), 0);
      const erased = await topics.erase({ source, has });
      // One copy for all subscriptions, or one for each.
      assert.equal(erased === 21 || erased === 42, true, `${erased} were erased`);
      assert.equal(await topics.erase({ source, has }), 0);
      const readers = ["a", "b"].map((name) => world.consume(topics, name));
      await world.publish(topics, [change("y", 21)]);
      await world.drained(topics);
      for (const { seen } of readers) assertExact(seen, { y: 21, 'x"': 20 });
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
    "what is published survives a restart of everything",
    async (world) => {
      const first = await world.open();
      assert.ok(["memory", "second", "disk"].includes(await first.topics.durability()));
      await first.topics.subscribe({ topic: world.topic, name: "s" });
      await world.publish(first.topics, [change("x", 1), change("y", 1)]);
      await first.topics.settled({ signal: new AbortController().signal });
      await first.topics.close(1_000);
      await first.topics.close(1_000);
      const { topics } = await world.open();
      assert.equal(await topics.subscribe({ topic: world.topic, name: "s" }), "known");
      const reader = world.consume(topics, "s");
      await world.drained(topics);
      assertExact(reader.seen, { x: 1, y: 1 });
    },
  ],
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
  [
    "settled takes as long as the durability needs, and ends on abort",
    async (world) => {
      const { topics } = await world.open();
      const isDelayed = (await topics.durability()) === "second";
      const stop = new AbortController();
      const givenUp = topics.settled({ signal: stop.signal });
      const at = performance.now();
      await topics.settled({ signal: new AbortController().signal });
      const ms = performance.now() - at;
      assert.ok(isDelayed ? ms > 4_900 && ms < 8_000 : ms < 1_000, `settled after ${ms} ms`);
      await givenUp;
      const late = topics.settled({ signal: stop.signal });
      stop.abort();
      if (isDelayed) await assert.rejects(late, { name: "AbortError" });
      else await late;
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
];

interface Seen {
  readonly key: string;
  readonly n: number;
  readonly at: number;
}

interface Batch extends ChildBatch {
  readonly at: number;
}

type World = ReturnType<typeof openWorld>;

/** A topic of its own, and everything that must end with the case. */
function openWorld(backend: Parameters<typeof queueConformance>[0], topic: string) {
  const parties: Party[] = [];
  const readers: { readonly stop: () => Promise<void> }[] = [];
  const children: ChildProcess[] = [];
  const ended = new AbortController();

  const optionsOf = (options: Partial<PartyOptions>): PartyOptions => ({
    partitions: 4,
    optional: false,
    maxWaiting: 100,
    leaseMs,
    writeTimeoutMs: 100,
    ...options,
  });

  const publish = (topics: Topics, events: readonly SluiceEvent[]) =>
    topics.publish(topic, events, { signal: ended.signal });

  return {
    topic,
    publish,
    open: async (options: Partial<PartyOptions> = {}): Promise<Party> => {
      const party = await backend.open(optionsOf(options));
      parties.push(party);
      return party;
    },
    status: async (topics: Topics, name: string) =>
      (await topics.subscriptions(topic)).find((status) => status.name === name),
    /** Everything is acknowledged by everybody: nothing is left behind. */
    drained: (topics: Topics) =>
      until(async () => {
        const all = await topics.subscriptions(topic);
        return (
          all.length > 0 && all.every(({ waiting, oldestMs }) => waiting === 0 && oldestMs === 0)
        );
      }),
    consume: (
      topics: Topics,
      name: string,
      handle: (events: readonly SluiceEvent[], run: WriteRun) => Promise<void> = async () => {},
    ) => {
      const stop = new AbortController();
      const record = recorder();
      let atOnce = 0;
      let mostAtOnce = 0;
      const done = topics.consume(
        topic,
        name,
        async (events, run) => {
          record.add({ events, redelivered: run.redelivered });
          mostAtOnce = Math.max(mostAtOnce, ++atOnce);
          try {
            await handle(events, run);
          } finally {
            atOnce--;
          }
        },
        { signal: stop.signal },
      );
      const reader = {
        ...record,
        done,
        get mostAtOnce() {
          return mostAtOnce;
        },
        stop: () => (stop.abort(), done),
      };
      readers.push(reader);
      return reader;
    },
    tap: async (topics: Topics, { isSlow = false } = {}) => {
      const stop = new AbortController();
      const gate = new AbortController();
      const record = recorder();
      let missed = 0;
      const copies = await topics.tap(topic, {
        signal: stop.signal,
        missed: (events) => (missed += events),
      });
      const done = (async () => {
        for await (const event of copies) {
          record.add({ events: [event], redelivered: false });
          if (isSlow && !gate.signal.aborted) await once(gate.signal, "abort");
        }
      })();
      const tap = {
        ...record,
        done,
        get missed() {
          return missed;
        },
        goOn: () => gate.abort(),
        stop: () => {
          gate.abort();
          stop.abort();
          return done;
        },
      };
      readers.push(tap);
      return tap;
    },
    child: (name: string, options: Partial<PartyOptions> & { readonly hang: boolean }) => {
      const order: ChildOrder = { options: optionsOf(options), topic, name, hang: options.hang };
      const child = fork(backend.child, [...backend.childArguments(), JSON.stringify(order)]);
      const record = recorder();
      children.push(child);
      child.on("message", (batch) => record.add(batch as ChildBatch));
      return {
        ...record,
        process: child,
        tell: (message: ChildMessage) => child.send(message),
        exited: once(child, "exit"),
        received: (batches: number) => until(() => record.batches.length >= batches),
      };
    },
    /** Publishes changes of twenty keys, round after round; `stop` tells how many each key got. */
    traffic: (topics: Topics) => {
      const keys = range(1, 20).map((key) => `key-${key}`);
      let running = true;
      const rounds = (async () => {
        for (let n = 1; ; n++) {
          await publish(
            topics,
            keys.map((key) => change(key, n)),
          );
          if (!running) return n;
          await sleep(5); // a pace, not a wait
        }
      })();
      return {
        stop: async () => {
          running = false;
          const sent = await rounds;
          return Object.fromEntries(keys.map((key) => [key, sent]));
        },
      };
    },
    end: async () => {
      ended.abort();
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(readers.map(({ stop }) => stop()));
      for (const { topics, state } of parties) {
        await topics.close(1_000);
        await state.close();
      }
    },
  };
}

function recorder() {
  const batches: Batch[] = [];
  const seen: Seen[] = [];
  return {
    batches,
    seen,
    add: (batch: ChildBatch) => {
      const at = performance.now();
      batches.push({ ...batch, at });
      for (const event of batch.events)
        seen.push({ key: String(event.subject), n: nOf(event), at });
    },
    /** The keys of the last batches, none older than half a second. */
    recent: (count: number): readonly string[] => {
      const after = performance.now() - 500;
      return batches
        .slice(-count)
        .filter(({ at }) => at > after)
        .flatMap(({ events }) => events.map(({ subject }) => String(subject)));
    },
  };
}

/** Per key everything from 1 to the last one sent, in order; where repeats are allowed, only of what came before. */
function assertExact(
  seen: readonly Seen[],
  sent: Readonly<Record<string, number>>,
  { repeats = false } = {},
): void {
  const last = new Map<string, number>();
  const highest = new Map<string, number>();
  for (const { key, n } of seen) {
    const before = last.get(key) ?? 0;
    const isNext = n === before + 1;
    assert.ok(isNext || (repeats && n <= before), `${key}: ${n} came after ${before}`);
    last.set(key, n);
    highest.set(key, Math.max(n, highest.get(key) ?? 0));
  }
  assert.deepEqual(
    Object.fromEntries([...highest].toSorted(byJson)),
    Object.fromEntries(Object.entries(sent).toSorted(byJson)),
  );
}

/** What two processes saw, by the time they saw it. */
function inOrder(...all: readonly (readonly Seen[])[]): readonly Seen[] {
  return all.flat().toSorted((a, b) => a.at - b.at);
}

function partitionsOf(keys: readonly string[], partitions: number): ReadonlySet<number> {
  return new Set(keys.map((key) => partitionOf(change(key, 1), partitions)));
}

function change(
  key: string,
  n: number,
  { audience, after = { n } }: { audience?: string; after?: Record<string, unknown> } = {},
): SluiceEvent {
  return upserted({
    source: "/conformance",
    key,
    subject: key,
    version: versionOf(n),
    time: "2026-01-01T00:00:00Z",
    op: "update",
    after: after as { readonly n: number },
    meta: {},
    ...(audience && { audience }),
  });
}

function versionOf(n: number) {
  return version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 });
}

function nOf(event: SluiceEvent): number {
  const { sequence } = event as { readonly sequence: string };
  return Number(`0x${sequence.slice(8, 24)}`);
}

function summary({ events, redelivered }: Batch) {
  return { events: events.map((event) => `${event.subject}${nOf(event)}`), redelivered };
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

function byJson(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

/** Rejects when the signal aborts, as work that obeys it does. */
async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
  throw signal.reason as Error;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, "it did not happen within 10 s");
    await sleep(10);
  }
}
