import assert from "node:assert/strict";
import type { DocumentUpserted, SluiceEvent, StateStore, VectorStore } from "sluice";
import { fakes } from "sluice/testing";
import { assertEqualsOracle, assertNeverEmpty, world, type World } from "./harness.ts";
import type { VectorWriterOptions } from "./writer.ts";

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

export interface Stage {
  readonly batch: readonly SluiceEvent[];
  /** What is live afterwards. */
  readonly live: readonly DocumentUpserted[];
}

export interface Play {
  readonly stages: readonly Stage[];
  readonly limits: Partial<VectorStore["limits"]>;
  readonly parts: Partial<VectorWriterOptions>;
  /** Where a document is; in one namespace when absent. */
  readonly homeOf?: (event: DocumentUpserted) => string;
}

/**
 * Plays all stages. The process dies at the given calls, each counted from the last death; what
 * follows it gets the batch again, and the one before. At the end the index equals the oracle.
 */
export async function play(
  { stages, limits, parts, homeOf }: Play,
  fatals: readonly number[],
  death: Death,
): Promise<{ readonly calls: number; readonly deaths: number; readonly embedded: number }> {
  const here = await world(limits);
  const waiting = [...fatals];
  const start = () => {
    const process = dying(here, waiting.shift() ?? Infinity, death);
    return { ...process, writer: here.open({ ...process.parts, ...parts }) };
  };
  let process = start();
  let calls = 0;
  let deaths = 0;
  for (const [index, { batch }] of stages.entries()) {
    const from = here.store.writes.length;
    const earlier = stages[index - 1]?.batch;
    for (let isDone = false, redelivered = false; !isDone; redelivered = true)
      try {
        const run = fakes.writeRun({ redelivered });
        if (redelivered && earlier) await process.writer.write(earlier, run);
        await process.writer.write(batch, run);
        isDone = true;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        deaths += 1;
        calls += process.calls();
        await process.writer.close();
        process = start();
      }
    assertNeverEmpty(here.store, from, changesAt(stages, index), homeOf);
  }
  await process.writer.close();
  const { live = [] } = stages.at(-1) ?? {};
  await assertEqualsOracle(here.store, live, parts);
  for await (const page of here.state.scan("m/"))
    for (const { value } of page) assert.notEqual((value as { state?: string }).state, "pending");
  return { calls: calls + process.calls(), deaths, embedded: here.embedded() };
}

function changesAt(stages: readonly Stage[], stage: number) {
  const before = new Map(stages[stage - 1]?.live.map((one) => [one.subject, one]));
  return (stages[stage]?.live ?? []).flatMap((after) => {
    const old = before.get(after.subject);
    return old === undefined ? [] : [{ before: old, after }];
  });
}
