import assert from "node:assert/strict";
import { word, type Case } from "./conformance.ts";
import { state } from "./fakes/state.ts";
import { during, hold, of, rising, sees } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** What every source does, whatever it can do besides. */
export function streamCases({ origin, start }: SourceBench): readonly Case[] {
  return [
    {
      name: "first emits everything that exists, whatever letters it has",
      run: async () => {
        const texts = Array.from({ length: 5 }, () => `${word()} naïve 猫 🐈`);
        for (const text of texts) await origin.put(word(), text);
        await during(await start(), (reading) => sees(reading, ...texts));
      },
    },
    {
      name: "resumes after its checkpoint: nothing old, nothing missed",
      run: async () => {
        const place = state();
        const [old, fresh] = [word(), word()];
        const subject = await origin.put(word(), old);
        await during(await start({ state: place }), (reading) => sees(reading, old));
        await origin.put(word(), fresh);
        await during(await start({ state: place }), async (reading) => {
          await sees(reading, fresh);
          assert.deepEqual(of(reading.events, subject), []);
        });
      },
    },
    {
      name: "emits what appears while it runs",
      run: async () => {
        await during(await start(), async (reading) => {
          // Only once it has told of one it surely runs.
          for (const text of [word(), word()]) {
            await origin.put(word(), text);
            await sees(reading, text);
          }
        });
      },
    },
    {
      name: "gives a later change a higher version, another id and the same partition key",
      run: async () => {
        await during(await start(), async (reading) => {
          const [key, first, second] = [word(), word(), word()];
          const subject = await origin.put(key, first);
          await sees(reading, first);
          await origin.put(key, second);
          await sees(reading, second);
          const changes = of(reading.events, subject);
          rising(changes);
          assert.equal(new Set(changes.map(({ id }) => id)).size, changes.length);
          assert.ok(hold(second)(changes.slice(-1)), "the last event holds the last text");
        });
      },
    },
    {
      name: "keeps the order of each key while many change at once",
      run: async () => {
        await during(await start(), async (reading) => {
          const ended = await Promise.all(
            Array.from({ length: 5 }, async () => {
              const [key, texts] = [word(), Array.from({ length: 5 }, word)];
              let subject = "";
              for (const text of texts) subject = await origin.put(key, text);
              return { subject, isLast: hold(...texts.slice(-1)) };
            }),
          );
          await reading.until(
            (events) => ended.every(({ subject, isLast }) => isLast(of(events, subject).slice(-1))),
            "each key to end with the last of its texts",
          );
          for (const { subject } of ended) rising(of(reading.events, subject));
        });
      },
    },
  ];
}
