import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "vitest";
import { z } from "zod";
import type { Json } from "./event.ts";
import { defineListing } from "./listing.ts";
import { fakes, sourceConformance } from "./testing/index.ts";

const config = { everyMs: 20 };

function shelf(deletes: boolean) {
  const held = new Map<string, { readonly [key: string]: Json }>();
  let failAfter = Infinity;
  let [fails, stalls] = [false, false];
  const outage = { begin: () => void (fails = true), end: () => void (fails = false) };
  const stall = { begin: () => void (stalls = true), end: () => void (stalls = false) };
  const source = defineListing({
    name: "shelf",
    version: "1.0.0",
    summary: "A map.",
    config: z.strictObject({ everyMs: z.number().describe("Milliseconds between listings.") }),
    deletes,
    async *list({ signal }) {
      let count = 0;
      if (stalls) await sleep(60_000, undefined, { signal });
      if (fails) throw new Error("the listing failed");
      for (const [key, after] of held) {
        if (count === failAfter) throw new Error("the listing broke");
        count += 1;
        yield { key, after };
      }
    },
  });
  const origin = {
    put: async (key: string, text: string) => {
      held.set(key, { text });
      return key;
    },
    remove: async (key: string) => void held.delete(key),
  };
  return {
    source,
    held,
    origin,
    outage,
    stall,
    failAfter: (count: number) => void (failAfter = count),
  };
}

for (const deletes of [true, false])
  describe(`a listing ${deletes ? "that shows deletes" : "that forgets"} keeps what a source must:`, () => {
    const { source, origin, outage, stall } = shelf(deletes);
    for (const { name, run } of sourceConformance({ source, config, origin, outage, stall }))
      it(name, run);
  });

describe("a listing", () => {
  it("that breaks deletes nothing, and goes on where it was", async () => {
    const { source, held, failAfter } = shelf(true);
    const state = fakes.state();
    for (const key of ["a", "b", "c"]) held.set(key, { text: key });
    const first = await fakes.run(source, { config, state });
    await first.until((events) => events.length === 3);
    failAfter(1);
    await assert.rejects(first.ended, /the listing broke/);
    assert.equal(first.events.length, 3);

    failAfter(Infinity);
    held.delete("a");
    const second = await fakes.run(source, { config, state });
    await second.until((events) => events.length > 0);
    assert.deepEqual(
      second.events.map(({ type, subject }) => [type, subject]),
      [["dev.sluice.record.deleted", "a"]],
    );
    await second.stop();
  });

  it("tells news by content, whatever the order of its fields", async () => {
    const { source, held } = shelf(true);
    held.set("a", { x: 1, y: { z: 2, w: 3 } });
    const run = await fakes.run(source, { config });
    await run.until((events) => events.length === 1);
    held.set("a", { y: { w: 3, z: 2 }, x: 1 });
    held.set("b", { x: 1 });
    await run.until((events) => events.length > 1);
    assert.deepEqual(
      run.events.map(({ subject }) => subject),
      ["a", "b"],
    );
    await run.stop();
  });

  it("comes in batches of at most 1,000 events", async () => {
    const { source, held } = shelf(true);
    for (let key = 0; key < 2_500; key++) held.set(String(key), { key });
    const run = await fakes.run(source, { config });
    await run.until((events) => events.length === 2_500);
    assert.deepEqual(
      run.batches.map(({ events }) => events.length),
      [1_000, 1_000, 500],
    );
    await run.stop();
  });
});
