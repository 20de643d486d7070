import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { RecordChange, SluiceEvent } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import { state, type FakeState } from "./fakes/state.ts";
import { childMs, killedAt } from "./killed.ts";
import { alike, during, hold, of, sees } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** Power fails, and what was not settled is lost, checkpoint and all: the source starts from an earlier one. */
const never = () => new Promise<void>(() => {});

/** For what is settled to be confirmed at its origin, and how often it may come again before that. */
const confirmsMs = 500;
const confirmTries = 4;

/** What a source that replays does from its earlier checkpoints. */
export function checkpointCases(
  bench: SourceBench,
  module: URL | string | undefined,
): readonly Case[] {
  const { source, config, origin, patienceMs, start } = bench;

  /** Puts texts one after the other; gives the state as it was before each was published. */
  const traced = async (texts: readonly string[]) => {
    const place = state();
    const subjects: string[] = [];
    const before: FakeState[] = [];
    await origin.put(word(), word());
    await during(await start({ state: place, settled: never }), async (reading) => {
      await reading.until(({ length }) => length > 0, "any event");
      for (const text of texts) {
        before.push(place.copy());
        subjects.push(await origin.put(word(), text));
        await sees(reading, text);
      }
    });
    return { before, subjects };
  };

  const whenForgets: readonly Case[] = [
    {
      name: "confirms nothing at its origin before it is settled",
      run: async () => {
        const text = word();
        const { before } = await traced([text, word()]);
        const [first] = before;
        await during(await start({ ...(first && { state: first }), settled: never }), (reading) =>
          reading.until(
            hold(text),
            `${text} again, which was not settled: confirm at the origin only behind \`await settled()\``,
          ),
        );
      },
    },
    {
      name: "confirms at its origin what is settled",
      run: async () => {
        const place = state();
        const text = word();
        const subject = await origin.put(word(), text);
        await during(await start({ state: place }), (reading) => sees(reading, text));
        // What it could not confirm in time comes again, but not each time.
        for (let tries = 1; ; tries += 1) {
          const marker = word();
          await origin.put(word(), marker);
          let isAgain = false;
          await during(await start({ state: place }), async (reading) => {
            await sees(reading, marker);
            isAgain = of(reading.events, subject).length > 0;
            if (isAgain) await sleep(confirmsMs);
          });
          if (!isAgain) return;
          assert.ok(
            tries < confirmTries,
            `${subject} came in each of ${tries + 1} runs, though it was settled in the first: confirm it behind \`await settled()\``,
          );
        }
      },
    },
  ];

  const whenModule = (from: string): readonly Case[] => [
    {
      name: "names the same change alike in another process",
      run: async () => {
        const text = word();
        const { before, subjects } = await traced([text]);
        const [place = state()] = before;
        const [subject = ""] = subjects;
        const readHere = async () => {
          const reading = await start({ state: place.copy(), settled: never });
          await during(reading, () => sees(reading, text));
          return of(reading.events, subject)[0];
        };
        const readElsewhere = async () => {
          const elsewhere = place.copy();
          elsewhere.lapse("source");
          const lease = await elsewhere.leases.acquire("source", 10_000);
          assert.ok(lease, "the lease was just freed");
          const { kind, name } = source;
          const { token } = lease;
          const events: SluiceEvent[] = [];
          await killedAt(
            Infinity,
            { module: from, kind, name, config, token },
            {
              state: elsewhere.state,
              // `publish` is all that a source calls besides its state.
              hear: (_, some) => void events.push(...(some as readonly SluiceEvent[])),
              isDone: () => hold(text)(events),
              patienceMs: Math.max(childMs, patienceMs * 4),
            },
          );
          return of(events, subject)[0];
        };
        const [first, there, back] = [await readHere(), await readElsewhere(), await readHere()];
        alike(first, there);
        alike(there, back);
        // Who takes over from another process may never come with less than that had.
        const versions = [first, there, back].map((change) => change?.sequence ?? "");
        assert.deepEqual(versions, versions.toSorted(), "the version went back");
      },
    },
  ];

  return [
    {
      name: "resumes from every checkpoint with all that followed",
      run: async () => {
        const texts = Array.from({ length: 4 }, word);
        const { before } = await traced(texts);
        for (const [at, place] of before.entries())
          await during(await start({ state: place, settled: never }), (reading) =>
            sees(reading, ...texts.slice(at)),
          );
      },
    },
    {
      name: "names the same change alike in every run: one id a version, all of it alike",
      run: async () => {
        const text = word();
        const { before, subjects } = await traced([text]);
        const [place = state()] = before;
        const [subject = ""] = subjects;
        const runs: RecordChange[] = [];
        for (let times = 0; times < 2; times += 1)
          await during(await start({ state: place.copy(), settled: never }), async (reading) => {
            await sees(reading, text);
            runs.push(...of(reading.events, subject));
          });
        alike(runs[0], runs[1]);
      },
    },
    ...(source.capabilities.forgets ? whenForgets : []),
    ...(module === undefined ? [] : whenModule(String(module))),
  ];
}
