import { word, type Case } from "./conformance.ts";
import { state } from "./fakes/state.ts";
import { during, isGone, of, rising, sees } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** What a source does that sees deletions. */
export function deleteCases({ origin, start }: SourceBench): readonly Case[] {
  return [
    {
      name: "emits a delete with a higher version",
      run: async () => {
        await during(await start(), async (reading) => {
          const [key, text] = [word(), word()];
          const subject = await origin.put(key, text);
          await sees(reading, text);
          await origin.remove(key);
          await reading.until((events) => isGone(events, subject), `a delete of ${subject}`);
          rising(of(reading.events, subject));
        });
      },
    },
    {
      name: "emits a delete that happened while it was down",
      run: async () => {
        const place = state();
        const [key, text] = [word(), word()];
        const subject = await origin.put(key, text);
        await during(await start({ state: place }), (reading) => sees(reading, text));
        await origin.remove(key);
        await during(await start({ state: place }), (reading) =>
          reading.until((events) => isGone(events, subject), `a delete of ${subject}`),
        );
      },
    },
    {
      name: "a record that comes back is emitted again",
      run: async () => {
        await during(await start(), async (reading) => {
          const [key, text] = [word(), word()];
          const subject = await origin.put(key, text);
          await sees(reading, text);
          await origin.remove(key);
          await reading.until((events) => isGone(events, subject), `a delete of ${subject}`);
          await origin.put(key, text);
          await reading.until(
            (events) => !isGone(events, subject),
            `${subject} to come back after its delete`,
          );
          rising(of(reading.events, subject));
        });
      },
    },
  ];
}
