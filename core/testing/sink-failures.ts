import assert from "node:assert/strict";
import { PartialError } from "../errors.ts";
import { within, word, type Case } from "./conformance.ts";
import { consumer } from "./fakes/consumer.ts";
import { queue } from "./fakes/queue.ts";
import type { Sample } from "./sample.ts";
import type { SinkBench } from "./sink.ts";

/** What a sink does that cannot, or must not, go on. */
export function sinkFailureCases(
  { opened, assertHolds }: SinkBench,
  poison: Sample | undefined,
): readonly Case[] {
  return [
    {
      name: "refuses to write after an abort",
      run: () =>
        opened(async ({ put, write }) => {
          const text = word();
          const signal = AbortSignal.abort();
          await assert.rejects(write([put("r", 1, text)], { signal }));
          await assertHolds({ [text]: false });
        }),
    },
    {
      name: "settles within a second of an abort",
      run: () =>
        opened(async ({ put, write }) => {
          const aborter = new AbortController();
          const { signal } = aborter;
          const batch = Array.from({ length: 50 }, (_, at) => put(`r${at}`, 1, word()));
          // To refuse is fine: the batch comes again.
          const writing = Promise.allSettled([write(batch, { signal })]);
          aborter.abort();
          await within(1_000, writing, "a write after its abort");
        }),
    },
    ...(poison ? poisonCases({ opened, assertHolds }, poison) : []),
  ];
}

function poisonCases(
  { opened, assertHolds }: Pick<SinkBench, "opened" | "assertHolds">,
  poison: Sample,
): readonly Case[] {
  return [
    {
      name: "one bad event becomes a dead letter, and the others are written",
      run: () =>
        opened(async (one) => {
          const texts = Array.from({ length: 6 }, word);
          const topic = queue({ partitions: 1 });
          const bad = one.poison(poison, "bad", 1, word());
          topic.publish(texts.map((text, at) => one.put(`r${at}`, 1, text)).toSpliced(2, 0, bad));
          const { handle, letters } = await consumer({ write: one.writer.write });
          await topic.drain(handle, { signal: AbortSignal.timeout(10_000) });
          assert.deepEqual(
            letters.map(({ event }) => event),
            [bad],
            "the one bad event is the one dead letter",
          );
          await assertHolds(Object.fromEntries(texts.map((text) => [text, true])));
        }),
    },
    {
      name: "a partial failure names just what failed, and the rest is complete",
      run: () =>
        opened(async (one) => {
          const [before, after, last] = [word(), word(), word()];
          const bad = one.poison(poison, "bad", 1, word());
          const batch = [
            one.remove("absent", 1), // not counted among what is put
            one.put("before", 1, before),
            ...Array.from({ length: 118 }, (_, at) => one.put(`r${at}`, 1, word())),
            bad,
            one.put("after", 1, after),
            // Those of later requests, for a sink that writes a hundred or so at once.
            ...Array.from({ length: 280 }, (_, at) => one.put(`s${at}`, 1, word())),
            one.put("last", 1, last),
          ];
          const error: unknown = await one.write(batch).catch((thrown: unknown) => thrown);
          assert.ok(error instanceof Error, "wrote what was meant to be refused");
          // A batch may also fail as a whole: then it comes again in halves.
          if (!(error instanceof PartialError)) return;
          assert.deepEqual(
            [...error.failures.keys()],
            [batch.indexOf(bad)],
            "`failures` names the places in the batch of what was refused",
          );
          await assertHolds({ [before]: true, [after]: true, [last]: true });
        }),
    },
  ];
}
