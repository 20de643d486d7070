import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, PartialError, PoisonError, SuspectError } from "../errors.ts";
import type { RecordChange } from "../event.ts";
import { settles, through, within, word, type Case, type Outage } from "./conformance.ts";
import type { Hand } from "./sample.ts";
import { assertKept } from "./secrets.ts";
import type { SinkBench } from "./sink.ts";

/** How long a sink may try by itself before it is aborted. */
const triesMs = 600;
/** After the outage. */
const recoversMs = 5_000;
/** For a write to be on its way. */
const onItsWayMs = 100;
const promptMs = 1_000;

/** What a sink does while its target fails, or does not answer. */
export function sinkOutageCases(
  { sink, config, opened, assertHolds }: SinkBench,
  { outage, stall }: { readonly outage?: Outage | undefined; readonly stall?: Outage | undefined },
): readonly Case[] {
  /** Batches of each kind, and what the target shows before and after they are written. */
  const prepared = async ({ put, remove, write, stranger }: Hand) => {
    const [changes, goes, cleared] = [word(), word(), word()];
    const [changed, fresh] = [word(), word()];
    const other = stranger();
    await write([put("changes", 1, changes), put("goes", 1, goes)]);
    await write([other.put("r", 1, cleared)]);
    return {
      batches: [
        [put("changes", 2, changed), put("fresh", 1, fresh)],
        [remove("goes", 2)],
        [other.clear(2)],
      ],
      before: { [changes]: true, [goes]: true, [cleared]: true, [changed]: false, [fresh]: false },
      after: { [changes]: false, [goes]: false, [cleared]: false, [changed]: true, [fresh]: true },
    };
  };
  const writtenAgain = async ({ write }: Hand, batches: readonly (readonly RecordChange[])[]) => {
    for (const batch of batches)
      // A connection that the outage broke may cost another try.
      await settles(recoversMs, () => write(batch, { redelivered: true }));
  };

  const whenOutage = (given: Outage): readonly Case[] => [
    {
      name: "takes nothing for written that its target refused in an outage, and nothing for poison",
      run: () =>
        opened(async (hand) => {
          const { batches, before, after } = await prepared(hand);
          await through(given, async () => {
            for (const batch of batches) {
              const signal = AbortSignal.timeout(triesMs);
              const writing = hand.write(batch, { signal }).then(
                () => assert.fail(`said that it wrote ${told(batch)} in the outage`),
                (error: unknown) => error,
              );
              const error = await within(triesMs + promptMs, writing);
              assertPasses(error, batch);
              assertKept(sink, config, { "what it threw": error });
            }
          });
          await assertHolds(before);
          await writtenAgain(hand, batches);
          await assertHolds(after);
        }),
    },
    {
      name: "writes nothing behind a deadline that passes in an outage",
      run: () =>
        opened(async (hand) => {
          const { batches, before, after } = await prepared(hand);
          const [batch = []] = batches;
          let writing: Promise<string> | undefined;
          await through(given, async () => {
            const deadline = performance.now() + triesMs;
            writing = hand.write(batch, { deadline }).then(
              () => "written",
              () => "refused",
            );
            await sleep(triesMs + onItsWayMs);
          });
          // Its target is back, and its partition may be another worker's.
          assert.equal(
            writing && (await within(recoversMs, writing)),
            "refused",
            "a write that tries by itself has to look at `deadline` before each request",
          );
          await assertHolds(before);
          await writtenAgain(hand, batches);
          await assertHolds(after);
        }),
    },
  ];

  const whenStall = (given: Outage): readonly Case[] => [
    {
      name: "settles within a second of an abort while its target does not answer",
      run: () =>
        opened(async (hand) => {
          const { batches, after } = await prepared(hand);
          await through(given, async () => {
            for (const batch of batches) {
              const aborter = new AbortController();
              const { signal } = aborter;
              const writing = hand.write(batch, { signal }).then(
                () => assert.fail(`said that it wrote ${told(batch)} without an answer`),
                () => {}, // to refuse is right: the batch comes again
              );
              await Promise.race([writing, sleep(onItsWayMs)]);
              aborter.abort();
              await within(promptMs, writing);
            }
          });
          await writtenAgain(hand, batches);
          await assertHolds(after);
        }),
    },
  ];

  return [...(outage ? whenOutage(outage) : []), ...(stall ? whenStall(stall) : [])];
}

/** Asserts that the runner tries all of a batch again, for as long as it takes. */
function assertPasses(error: unknown, batch: readonly RecordChange[]): void {
  const isPartial = error instanceof PartialError;
  const errors = isPartial ? [...error.failures.values()] : [error];
  if (isPartial) assert.equal(errors.length, batch.length, `said that it wrote ${told(batch)}`);
  for (const one of errors)
    assert.ok(
      !(one instanceof PoisonError || one instanceof SuspectError || one instanceof ConfigError),
      `calls an outage a ${one instanceof Error ? one.name : ""}: ${String(one)}`,
    );
}

function told(batch: readonly RecordChange[]): string {
  return batch.map(({ type, subject }) => `${type.split(".").at(-1)} ${subject}`).join(", ");
}
