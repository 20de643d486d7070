import assert from "node:assert/strict";
import { describe, expect, it } from "vitest";
import { cleared } from "sluice";
import type { DocumentUpserted, SluiceEvent, StateStore, VectorStore } from "sluice";
import { fakes } from "sluice/testing";
import {
  assertEqualsOracle,
  assertNeverEmpty,
  at,
  doc,
  gone,
  namespace,
  random,
  source,
  world,
  type World,
} from "./harness.ts";

const run = fakes.writeRun;

/** How the process dies at a call: before it is made, with half of it done, or with its answer lost. */
type Death = "before" | "half" | "after";

class Killed extends Error {
  override readonly name = "Killed";
}

/** Counts the calls to state, store and embedder, and dies at the `fatal`-th: nothing works from then on. */
function dying(here: World, fatal: number, death: Death) {
  let calls = 0;
  async function step<I, O>(
    items: readonly I[],
    call: (items: readonly I[]) => Promise<O>,
  ): Promise<O> {
    calls += 1;
    if (calls < fatal) return call(items);
    if (calls === fatal && death !== "before")
      await call(death === "half" ? items.slice(0, Math.ceil(items.length / 2)) : items);
    throw new Killed(`killed at call ${fatal}`);
  }
  const store: VectorStore = {
    ...here.store,
    upsert: (vectors, to) => step(vectors, (some) => here.store.upsert(some, to)),
    remove: (ids, to) => step(ids, (some) => here.store.remove(some, to)),
    fetch: (ids, to) => step(ids, (some) => here.store.fetch(some, to)),
    async *list(prefix, to) {
      yield* await step([prefix], async () => here.store.list(prefix, to));
    },
  };
  const state: StateStore = {
    ...here.state,
    get: (keys) => step(keys, (some) => here.state.get(some)),
    each: (writes, fence) => step(writes, (some) => here.state.each(some, fence)),
    async *scan(prefix, options) {
      yield* await step([prefix], async () => here.state.scan(prefix, options));
    },
  };
  const embedder = {
    ...here.embedder,
    embed: (texts: readonly string[], how: Parameters<typeof here.embedder.embed>[1]) =>
      step(texts, (some) => here.embedder.embed(some, how)),
  };
  return { parts: { store, state, embedder }, calls: () => calls };
}

const subjects = Array.from({ length: 20 }, (_, n) => `d${n}`);
const texts = (subject: string, count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => `${subject} paragraph ${n + from}`);
const every = (make: (subject: string, n: number) => DocumentUpserted) => subjects.map(make);

const inserted = every((s) => doc(s, texts(s, 3), at(1)));
const edited = every((s, n) =>
  // Of each four: one new text, one changed metadata, one other heading, one moved to the end.
  doc(
    s,
    [
      [...texts(s, 2), "edited"],
      texts(s, 3),
      texts(s, 3).map((text) => ({ text, context: "Heading" })),
      texts(s, 4, 1),
    ][n % 4] ?? [],
    at(2),
    n % 4 === 1 ? { metadata: { tag: "changed" } } : {},
  ),
);
const shrunk = every((s) => doc(s, texts(s, 1), at(3)));
// Half way back to what was: ids that a crash left half deleted are wanted again.
const regrown = every((s) => doc(s, texts(s, 3), at(4)));
const removed = subjects.slice(0, 10).map((s) => gone(s, at(5)));
const again = subjects.slice(0, 5).map((s) => doc(s, texts(s, 2), at(6)));
const clear = cleared({
  source,
  below: at(6),
  reason: "sweep",
  time: "2026-01-01T00:00:00Z",
  meta: {},
});

interface Stage {
  readonly batch: readonly SluiceEvent[];
  /** What is live afterwards. */
  readonly live: readonly DocumentUpserted[];
}
const stages: readonly Stage[] = [
  { batch: inserted, live: inserted },
  { batch: edited, live: edited },
  { batch: shrunk, live: shrunk },
  { batch: regrown, live: regrown },
  { batch: removed, live: regrown.slice(10) },
  { batch: again, live: [...again, ...regrown.slice(10)] },
  { batch: [clear], live: again },
];

function changesAt(stage: number) {
  const before = new Map(stages[stage - 1]?.live.map((one) => [one.subject, one]));
  return (stages[stage]?.live ?? []).flatMap((after) => {
    const old = before.get(after.subject);
    return old === undefined ? [] : [{ before: old, after }];
  });
}

/** Texts of the first stage, embedded in one call. */
const largestCall = 60;
const limits = { maxVectors: 16, maxDeleteIds: 12, maxFetchIds: 10 };

interface Options {
  readonly vectorCacheBytes?: number;
}

/**
 * Plays all stages. The process dies at the given calls, each counted from the last death; what
 * follows it gets the batch again, and the one before.
 */
async function play(fatals: readonly number[], death: Death, options: Options) {
  const here = await world(limits);
  const waiting = [...fatals];
  const start = () => {
    const process = dying(here, waiting.shift() ?? Infinity, death);
    return { ...process, writer: here.open({ ...process.parts, ...options }) };
  };
  let process = start();
  let calls = 0;
  let deaths = 0;
  for (const [index, { batch }] of stages.entries()) {
    const from = here.store.writes.length;
    const earlier = stages[index - 1]?.batch;
    for (let isDone = false, redelivered = false; !isDone; redelivered = true)
      try {
        if (redelivered && earlier) await process.writer.write(earlier, run({ redelivered }));
        await process.writer.write(batch, run({ redelivered }));
        isDone = true;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        deaths += 1;
        calls += process.calls();
        process = start();
      }
    assertNeverEmpty(here.store, from, changesAt(index));
  }
  await assertEqualsOracle(here.store, again);
  for await (const page of here.state.scan(`m/${namespace}/`))
    for (const { value } of page) assert.notEqual((value as { state?: string }).state, "pending");
  return { calls: calls + process.calls(), deaths, embedded: here.embedded() };
}

describe("killed at a call, then redelivered", () => {
  for (const death of ["before", "half", "after"] as const)
    for (const [memory, options] of Object.entries<Options>({
      "with a cache": {},
      "without a cache": { vectorCacheBytes: 0 },
    })) {
      it(`at every one: ${death} it, ${memory}`, async () => {
        const whole = await play([], death, options);
        expect(whole.calls).toBeGreaterThan(50);
        for (let fatal = 1; fatal <= whole.calls; fatal++) {
          const { deaths, embedded } = await play([fatal], death, options);
          expect(deaths).toBe(1);
          // With a cache, only the texts of the call that was cut short are paid for twice.
          if (options.vectorCacheBytes !== 0)
            expect(embedded - whole.embedded).toBeLessThanOrEqual(largestCall);
        }
      });

      it(`again and again: ${death} it, ${memory}`, async () => {
        const next = random(11);
        for (let round = 0; round < 25; round++) {
          const fatals = Array.from({ length: 6 }, () => 1 + Math.floor(next() * 20));
          expect((await play(fatals, death, options)).deaths).toBe(6);
        }
      });
    }
});
