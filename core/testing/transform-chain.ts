import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { PartialError, PoisonError } from "../errors.ts";
import { isRecordChange, isUpsert, type SluiceEvent, type UpsertEvent } from "../event.ts";
import type { Case } from "./conformance.ts";
import { writeRun } from "./fakes/context.ts";
import { consumer } from "./fakes/consumer.ts";
import { state } from "./fakes/state.ts";
import { as, manyOf } from "./transform-samples.ts";
import type { TransformBench } from "./transform.ts";

/** Far from the begin of a batch. */
const badAt = 70;

/** What is left of records once the runner has sent their changes through a transform, one after the other. */
export function chainCases(bench: TransformBench): readonly Case[] {
  const { transform, config, samples, poison, opened } = bench;
  const records = samples.filter(isUpsert);

  /** What a sink holds after these changes. */
  const heldAfter = async (changes: readonly SluiceEvent[]) => {
    const held = new Map<string, SluiceEvent>();
    const { handle, letters, close } = await consumer({
      transforms: [{ transform, config }],
      state: state().state,
      write: async (events) => {
        for (const event of events.filter(isRecordChange))
          if (isUpsert(event)) held.set(event.subject, event);
          else held.delete(event.subject);
      },
    });
    try {
      for (const change of changes)
        await handle([change], writeRun({ signal: AbortSignal.timeout(20_000) }));
      assert.deepEqual(letters, [], "gave up on a sample");
    } finally {
      await close();
    }
    return held;
  };

  const whenRecords: readonly Case[] = [
    {
      name: "a record that becomes another sample leaves nothing of what it was",
      run: async () => {
        for (const [before, after] of pairs(records)) {
          const now = as(before, after, 2);
          // Another change is bound to follow: until then what was there stays.
          if (await isSkipped(bench, now)) continue;
          const held = await heldAfter([as(before, before, 1), now]);
          const fresh = await heldAfter([now]);
          assert.deepEqual(held, fresh, `${before.id}, then what ${after.id} holds`);
        }
      },
    },
    {
      name: "skips only what another change is bound to follow",
      run: () =>
        opened(async (apply) => {
          const outputs = await apply(samples);
          for (const [at, output] of outputs.entries()) {
            if (output !== "skip") continue;
            const { data, type = "" } = samples[at] ?? {};
            if (transform.absorbs?.some((prefix) => type.startsWith(prefix))) continue;
            const isPartial = data !== null && typeof data === "object" && "unchanged" in data;
            assert.ok(isPartial, `${samples[at]?.id} is whole: null lets it go`);
          }
        }),
    },
  ];

  const whenPoison = (bad: NonNullable<typeof poison>): readonly Case[] => [
    {
      name: "names the one input it refuses, and no other",
      run: () =>
        opened(async (apply) => {
          const [good, ...others] = samples;
          assert.ok(good);
          const refused: unknown = await apply([good, bad, ...others]).catch((error) => error);
          assert.ok(refused instanceof PartialError, "not a PartialError");
          assert.deepEqual([...refused.failures.keys()], [1]);
          const many = manyOf(samples).toSpliced(badAt, 0, bad);
          const ofMany: unknown = await apply(many).catch((error) => error);
          assert.ok(ofMany instanceof PartialError, "of many: not a PartialError");
          assert.deepEqual([...ofMany.failures.keys()], [badAt]);
          const alone: unknown = await apply([bad]).catch((error) => error);
          const reason = alone instanceof PartialError ? alone.failures.get(0) : alone;
          assert.ok(reason instanceof PoisonError, "alone it is no PoisonError");
          const rest = await apply(samples);
          assert.equal(rest.length, samples.length);
        }),
    },
  ];

  return [...(records.length > 1 ? whenRecords : []), ...(poison ? whenPoison(poison) : [])];
}

/** Every two of the first samples, in both orders. */
function pairs(records: readonly UpsertEvent[]): (readonly [UpsertEvent, UpsertEvent])[] {
  const some = records.slice(0, 5);
  return some.flatMap((one) =>
    some.filter((other) => !isDeepStrictEqual(one, other)).map((other) => [one, other] as const),
  );
}

async function isSkipped({ opened }: TransformBench, event: UpsertEvent): Promise<boolean> {
  let isSo = false;
  await opened(async (apply) => {
    const [output] = await apply([event]);
    isSo = output === "skip" && "unchanged" in event.data;
  });
  return isSo;
}
