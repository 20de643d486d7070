import assert from "node:assert/strict";
import { word, type Case } from "./conformance.ts";
import { during, isGone, sees } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** It may ask for each by itself, and tell of them once it has all. */
const slower = 10;

/** How much a source reads. Behind most of its cases: where nothing can be removed, all of that stays. */
export function extentCases(
  { source, origin, patienceMs, start }: SourceBench,
  many: number,
): readonly Case[] {
  return [
    {
      name: "emits every record of many, and takes none for gone",
      run: async () => {
        const texts = Array.from({ length: many }, word);
        const keys = texts.map(() => word());
        const subjects: string[] = [];
        for (const [at, key] of keys.entries())
          subjects.push(await origin.put(key, texts[at] ?? ""));
        await during(await start({ patienceMs: patienceMs * slower }), async (reading) => {
          await sees(reading, ...texts);
          const gone = subjects.filter((subject) => isGone(reading.events, subject));
          assert.deepEqual(gone, [], "took for gone what is there");
        });
        if (source.capabilities.deletes) for (const key of keys) await origin.remove(key);
      },
    },
  ];
}
