import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { WriteRun } from "../connector.ts";
import type { RecordChange } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import { writeRun } from "./fakes/context.ts";
import type { SinkBench } from "./sink.ts";

const batchOf = 12;
/** Of the batch, once so many are begun the deadline passes, or the abort comes. */
const before = 3;
/** For what goes on behind a write that has settled. */
const afterwardsMs = 300;

/** What a sink may not do once its partition may be another worker's. */
export function sinkDeadlineCases({ opened, assertHolds }: SinkBench): readonly Case[] {
  return [
    {
      name: "starts no write after its deadline",
      run: () =>
        opened(async ({ put, write }) => {
          const text = word();
          await assert.rejects(write([put("r", 1, text)], { deadline: performance.now() - 1 }));
          await assertHolds({ [text]: false });
        }),
    },
    {
      name: "starts no write after a deadline that passes in the middle of a batch",
      run: () =>
        opened(async ({ put, write, writer }) => {
          const texts = Array.from({ length: batchOf }, word);
          const batch = texts.map((text, at) => put(`r${at}`, 1, text));
          const begun = new Set<RecordChange>();
          const late = new Set<RecordChange>();
          let [hasPassed, isLate] = [false, false];
          /** What a sink begins to read only later can be in no request that was on its way by then. */
          const read = (event: RecordChange) => {
            if (begun.has(event)) return;
            begun.add(event);
            if (isLate) late.add(event);
            if (hasPassed || begun.size < before) return;
            hasPassed = true;
            setImmediate(() => void (isLate = true));
          };
          const run: WriteRun = {
            ...writeRun(),
            get deadline() {
              return performance.now() + (hasPassed ? -1 : 60_000);
            },
          };
          const given = batch.map((event) => heeded(event, () => read(event)));
          const end = await writer.write(given, run).then(
            () => "written",
            () => "refused", // it comes again
          );
          const told = batch.flatMap((event, at): [string, boolean][] => {
            const [text = ""] = texts.slice(at);
            if (late.has(event)) return [[text, false]];
            return end === "written" ? [[text, true]] : [];
          });
          await assertHolds(Object.fromEntries(told));
          assert.ok(end === "refused" || late.size === 0, "said that it wrote what it did not");
          await write(batch, { redelivered: true });
          await assertHolds(Object.fromEntries(texts.map((text) => [text, true])));
        }),
    },
    {
      name: "begins nothing more once it has settled after an abort in the middle of a batch",
      run: () =>
        opened(async ({ put, write }) => {
          const texts = Array.from({ length: batchOf }, word);
          const batch = texts.map((text, at) => put(`r${at}`, 1, text));
          const begun = new Set<RecordChange>();
          const late = new Set<RecordChange>();
          const aborter = new AbortController();
          let isSettled = false;
          const read = (event: RecordChange) => {
            if (begun.has(event)) return;
            begun.add(event);
            if (isSettled) late.add(event);
            if (begun.size === before) setImmediate(() => aborter.abort());
          };
          const given = batch.map((event) => heeded(event, () => read(event)));
          // To refuse is fine: the batch comes again.
          await Promise.allSettled([write(given, { signal: aborter.signal })]);
          isSettled = true;
          // From now on the partition may be another worker's.
          await sleep(afterwardsMs);
          // What is read only now was on no way by then. A request that is made with an aborted signal is none.
          const told = batch.flatMap((event, at) => (late.has(event) ? [[texts[at], false]] : []));
          await assertHolds(Object.fromEntries(told) as Record<string, boolean>);
          await write(batch, { redelivered: true });
          await assertHolds(Object.fromEntries(texts.map((text) => [text, true])));
        }),
    },
  ];
}

/** The same event, which tells when anything of it but its type is read. */
function heeded(event: RecordChange, read: () => void): RecordChange {
  const copy = { ...event };
  for (const [name, value] of Object.entries(event)) {
    if (name === "type") continue;
    const get = (): unknown => {
      read();
      return value;
    };
    Object.defineProperty(copy, name, { get, enumerable: true, configurable: true });
  }
  return copy;
}
