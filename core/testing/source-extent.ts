import assert from "node:assert/strict";
import type { SluiceEvent } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import type { SourceRun } from "./fakes/run.ts";
import { state } from "./fakes/state.ts";
import { during, heldAfter, hold, isGone, sees } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** Of 24 such records no batch may hold all. */
const large = "z".repeat(100_000);
/** A page may be small, and what is large be told last. */
const mostStops = 40;
/** It may ask for each by itself, and tell of them once it has all. */
const slower = 10;

/** How much a source reads. Behind most of its cases: where nothing can be removed, all of that stays. */
export function extentCases(
  { source, origin, patienceMs, start }: SourceBench,
  many: number | undefined,
): readonly Case[] {
  const { deletes, replays, snapshotOnRequest } = source.capabilities;

  const whenReplays: readonly Case[] = [
    {
      name: "stopped after one batch of many large records, it goes on with the rest",
      run: async () => {
        const place = state();
        const known = word();
        await origin.put(word(), known);
        await during(await start({ state: place }), (reading) => sees(reading, known));
        const texts = Array.from({ length: 24 }, () => word() + large);
        const keys = texts.map(() => word());
        for (const [at, key] of keys.entries()) await origin.put(key, texts[at] ?? "");
        const first = await start({ state: place });
        first.pause();
        await during(first, (reading) => reading.until(({ length }) => length > 0, "any event"));
        const rest = texts.filter((text) => !hold(text)(first.events));
        await during(await start({ state: place }), (reading) => sees(reading, ...rest));
        if (deletes) for (const key of keys) await origin.remove(key);
      },
    },
  ];

  const whenAsked: readonly Case[] = [
    {
      name: "what changes while a snapshot on request is read is told, and stands",
      run: async () => {
        const keys = Array.from({ length: 24 }, word);
        const texts = keys.map(() => word() + large);
        const subjects: string[] = [];
        for (const [at, key] of keys.entries())
          subjects.push(await origin.put(key, texts[at] ?? ""));
        let isAsked = false;
        const isRead = (event: SluiceEvent) => subjects.includes(String(event.subject));
        const started: SourceRun = await start({
          publish: async (some) => {
            if (!isAsked || !some.some(isRead)) return;
            isAsked = false;
            started.pause();
          },
        });
        await during(started, async (reading) => {
          await sees(reading, ...texts);
          const before = reading.events.filter(isRead).length;
          isAsked = true;
          await reading.request({ id: "meanwhile" });
          await reading.until(
            (events) => events.filter(isRead).length > before,
            "a record to be read again",
          );
          // Of those that were read by now, and of those that were not.
          const changes = new Map<string, string>();
          for (const at of [0, 11, 23]) {
            const text = word();
            changes.set(subjects[at] ?? "", text);
            await origin.put(keys[at] ?? "", text);
          }
          reading.resume();
          const isCompleted = () =>
            reading.batches.some(({ completes }) => completes?.includes("meanwhile"));
          await reading.until((events) => {
            if (!isCompleted()) return false;
            const held = heldAfter(events);
            return [...changes].every(([subject, text]) => held.get(subject)?.includes(text));
          }, "the end of the snapshot and what changed meanwhile, at a higher version than what the snapshot read");
        });
        if (deletes) for (const key of keys) await origin.remove(key);
      },
    },
    {
      name: "a snapshot of many large records that is stopped after each batch goes on with the rest",
      run: async () => {
        const place = state();
        const texts = Array.from({ length: 24 }, () => word() + large);
        const keys = texts.map(() => word());
        for (const [at, key] of keys.entries()) await origin.put(key, texts[at] ?? "");
        await during(await start({ state: place }), (reading) => sees(reading, ...texts));
        const isForLate = ({ audience }: SluiceEvent) => audience === "late";
        const events: SluiceEvent[] = [];
        const begun = new Set<string>();
        let isOver = false;
        const read = async (isAsked: boolean, isStopped: boolean) => {
          const reading: SourceRun = await start({
            state: place,
            // Once what comes of the request has begun to come.
            publish: async (some) => {
              if (isStopped && some.some(isForLate)) reading.pause();
            },
          });
          if (isAsked) await reading.request({ id: "late", audience: "late" });
          const isCompleted = () =>
            reading.batches.some(({ completes }) => completes?.includes("late"));
          await during(reading, () =>
            reading.until(
              (some) => isCompleted() || (isStopped && some.some(isForLate)),
              isStopped ? "an event for the audience" : "a batch that completes late",
            ),
          );
          isOver = isCompleted();
          const [first, ...others] = reading.events.filter(isForLate);
          if (!first) return false;
          events.push(first, ...others);
          // One that begins anew in each run would be stopped for ever.
          const isNew = !begun.has(first.id);
          begun.add(first.id);
          return isNew;
        };
        let goesOn = await read(true, true);
        while (!isOver && goesOn && begun.size < mostStops) goesOn = await read(false, true);
        if (!isOver) await read(false, false);
        const missing = texts.filter((text) => !hold(text)(events)).length;
        assert.equal(missing, 0, `${missing} of ${texts.length} records were never told`);
        if (deletes) for (const key of keys) await origin.remove(key);
      },
    },
  ];

  const whenMany = (count: number): readonly Case[] => [
    {
      name: "emits every record of many, and takes none for gone",
      run: async () => {
        const texts = Array.from({ length: count }, word);
        const keys = texts.map(() => word());
        const subjects: string[] = [];
        for (const [at, key] of keys.entries())
          subjects.push(await origin.put(key, texts[at] ?? ""));
        await during(await start({ patienceMs: patienceMs * slower }), async (reading) => {
          await sees(reading, ...texts);
          const gone = subjects.filter((subject) => isGone(reading.events, subject));
          assert.deepEqual(gone, [], "took for gone what is there");
        });
        if (deletes) for (const key of keys) await origin.remove(key);
      },
    },
  ];

  // What is large last: an origin that keeps it is slower from then on.
  return [
    ...(many === undefined ? [] : whenMany(many)),
    ...(replays ? whenReplays : []),
    ...(snapshotOnRequest ? whenAsked : []),
  ];
}
