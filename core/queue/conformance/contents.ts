import assert from "node:assert/strict";
import { type SluiceEvent } from "../../event.ts";
import { assertExact, change, range } from "./events.ts";
import { type Cases } from "./world.ts";

/** What is in a topic: what is refused, mended, taken out, and kept over a restart. */
export const contents: Cases = [
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
    "one record's events can be taken out of all that waits, and nothing else",
    async (world) => {
      const { topics } = await world.open({ partitions: 2 });
      for (const name of ["a", "b"]) await topics.subscribe({ topic: world.topic, name });
      await world.publish(
        topics,
        range(1, 20).flatMap((n) => [change("gone", n), change("y", n), change('gone"', n)]),
      );
      await world.publish(topics, [change("gone", 21)]);
      const { source } = change("gone", 1);
      const has = (subject: string) => subject === "gone";
      assert.equal(await topics.erase({ source: `${source}s`, has }), 0);
      const erased = await topics.erase({ source, has });
      // One copy for all subscriptions, or one for each.
      assert.equal(erased === 21 || erased === 42, true, `${erased} were erased`);
      assert.equal(await topics.erase({ source, has }), 0);
      const readers = ["a", "b"].map((name) => world.consume(topics, name));
      await world.publish(topics, [change("y", 21)]);
      await world.drained(topics);
      for (const { seen } of readers) assertExact(seen, { y: 21, 'gone"': 20 });
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
];
