import assert from "node:assert/strict";
import type { Version } from "../version.ts";
import { word, type Case } from "./conformance.ts";
import { state, type FakeState } from "./fakes/state.ts";
import { during, hold, isClear, isGone, of, rising, sees, versionsOf } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** So many that versions made at random cannot be lucky. */
const crashes = 6;

/** What a source that replays does after a crash between publishing and the checkpoint. */
export function crashCases({ source, origin, start }: SourceBench): readonly Case[] {
  /** A run that dies between publishing `text` and storing its checkpoint. */
  const crashed = async (place: FakeState, text: string) => {
    const reading = await start({ state: place, killWhen: hold(text) });
    try {
      await sees(reading, text);
      await reading.ended;
      return reading;
    } catch (error) {
      await reading.stop();
      throw error;
    }
  };

  const whenDeletes: readonly Case[] = [
    {
      name: "what it emitted just before a crash and is removed while it is down, it deletes",
      run: async () => {
        const place = state();
        const [key, text] = [word(), word()];
        const subject = await origin.put(key, text);
        const first = await crashed(place, text);
        const known = of(first.events, subject).at(-1)?.sequence ?? "";
        await origin.remove(key);
        await during(await start({ state: place }), (second) =>
          second.until(
            (events) =>
              isGone(events, subject) ||
              events.some((event) => isClear(event) && event.data.below > known),
            `a delete of ${subject}, or a sweep above it`,
          ),
        );
      },
    },
  ];

  return [
    {
      name: "killed between publishing and the checkpoint, it emits again, never with a lower version",
      run: async () => {
        const place = state();
        const text = word();
        const subject = await origin.put(word(), text);
        const versions: Version[] = [];
        for (let times = 0; times < crashes; times += 1)
          versions.push(...versionsOf((await crashed(place, text)).events, subject).slice(-1));
        await during(await start({ state: place }), async (last) => {
          await sees(last, text);
          versions.push(...versionsOf(last.events, subject).slice(0, 1));
        });
        assert.equal(versions.length, crashes + 1, "emitted in every run");
        assert.deepEqual(versions, versions.toSorted(), "the version went back");
      },
    },
    {
      name: "a change it emitted just before a crash and is taken back while it is down, it takes back",
      run: async () => {
        const place = state();
        const [key, old, taken] = [word(), word(), word()];
        const subject = await origin.put(key, old);
        await during(await start({ state: place }), (reading) => sees(reading, old));
        await origin.put(key, taken);
        const killed = await crashed(place, taken);
        await origin.put(key, old);
        await during(await start({ state: place }), async (reading) => {
          await reading.until(
            (events) => hold(old)(of(events, subject).slice(-1)),
            `${subject} to hold again what it held before the crash`,
          );
          const [before, after] = [of(killed.events, subject), of(reading.events, subject)];
          rising(before);
          rising(after);
          // What the crash left unsettled may come again first.
          rising([...before.slice(-1), ...after.slice(-1)]);
        });
      },
    },
    ...(source.capabilities.deletes ? whenDeletes : []),
  ];
}
