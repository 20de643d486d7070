import assert from "node:assert/strict";
import { word, type Case } from "./conformance.ts";
import { state } from "./fakes/state.ts";
import { during, hold, isGone, of, rising, sees, versionsOf } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** What is easily lost between a text and another. */
const marked = '  <b>&amp; "1" < 2 & 3</b>\n\n\tc:\\d  e\n<!-- f -->%20 ';

/** What every source does, whatever it can do besides. */
export function streamCases({ source, origin, start }: SourceBench): readonly Case[] {
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
      name: "emits a text as it was put, line ends and markup and all, and an empty one too",
      run: async () => {
        const [begin, end, before] = [word(), word(), word()];
        const text = `${begin}${marked}${end}`;
        const key = word();
        const subjects = [await origin.put(word(), text), await origin.put(key, before)];
        await during(await start(), async (reading) => {
          await sees(reading, text, before);
          await origin.put(key, "");
          const [, emptied = ""] = subjects;
          await reading.until(
            (events) => !hold(before)(of(events, emptied).slice(-1)),
            `${emptied} to hold nothing any more`,
          );
          assert.ok(!isGone(reading.events, emptied), "took a record that is empty for gone");
        });
      },
    },
    {
      name: "names a record as its origin does, long or in capitals",
      run: async () => {
        const keys = [`${word()}AbC`, `${word()}${"Z".repeat(40)}`];
        const texts = [word(), word()];
        const subjects: string[] = [];
        for (const [at, text] of texts.entries())
          subjects.push(await origin.put(keys[at] ?? "", text));
        await during(await start(), async (reading) => {
          await sees(reading, ...texts);
          for (const [at, subject] of subjects.entries())
            assert.ok(hold(texts[at] ?? "")(of(reading.events, subject)), `no event of ${subject}`);
        });
      },
    },
    {
      name: "resumes after its checkpoint: nothing old, nothing missed",
      run: async () => {
        const place = state();
        const [old, fresh] = [word(), word()];
        const subject = await origin.put(word(), old);
        const told: string[] = [];
        await during(await start({ state: place }), async (reading) => {
          await sees(reading, old);
          told.push(...versionsOf(reading.events, subject));
        });
        await origin.put(word(), fresh);
        await during(await start({ state: place }), async (reading) => {
          await sees(reading, fresh);
          // What was not confirmed in time comes again, of a queue; as the very same change.
          const again = versionsOf(reading.events, subject);
          const expected = source.capabilities.forgets
            ? again.filter((one) => told.includes(one))
            : [];
          assert.deepEqual(
            again,
            expected,
            "told again what lies before its checkpoint: go on behind it",
          );
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
          assert.equal(
            new Set(changes.map(({ id }) => id)).size,
            changes.length,
            "two changes of one record have one id",
          );
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
