import assert from "node:assert/strict";
import type { SnapshotRequest, SourceBatch } from "../connector.ts";
import type { SluiceEvent } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import type { SourceRun } from "./fakes/run.ts";
import { state } from "./fakes/state.ts";
import { during, hold, isClear, isGone, of, rising, sees, versionsOf } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** What a source that honours `requests` must keep. */
export function requestCases({ source, origin, start }: SourceBench): readonly Case[] {
  /** Has a record that is known read again; gives its new event and the sweep behind it. */
  const readAgain = async (reading: SourceRun, request: SnapshotRequest) => {
    const text = word();
    const subject = await origin.put(word(), text);
    await sees(reading, text);
    const removed = source.capabilities.deletes ? await putAndRemove(reading) : "";
    const asked = reading.events.length;
    // A first snapshot may still run, and ends with a sweep too.
    const sweepIn = (events: readonly SluiceEvent[]) => {
      const again = events.findIndex((event, at) => at >= asked && isRead(event, subject));
      return events
        .slice(again < 0 ? events.length : again)
        .filter(isClear)
        .find(({ audience }) => audience === request.audience);
    };
    await reading.request(request);
    await reading.until(
      (events) => sweepIn(events) !== undefined,
      `${subject} read again, and then the sweep that ends the snapshot`,
    );
    const sweep = sweepIn(reading.events);
    assert.ok(sweep);
    const before = reading.events.slice(0, reading.events.indexOf(sweep));
    rising(of(before, subject));
    const read = of(before, subject).at(-1);
    assert.ok(read);
    assert.ok(
      sweep.data.below > removed,
      "the sweep would leave what was removed before the request: `below` is too low",
    );
    return { read, sweep };
  };

  /** Gives the version of a record that is gone again. */
  const putAndRemove = async (reading: SourceRun) => {
    const [key, text] = [word(), word()];
    const subject = await origin.put(key, text);
    await sees(reading, text);
    const [known = ""] = versionsOf(reading.events, subject);
    await origin.remove(key);
    await reading.until((events) => isGone(events, subject), `the delete of ${subject}`);
    return known;
  };

  return [
    {
      name: "a snapshot on request reads everything again and ends with a sweep",
      run: async () => {
        await during(await start(), async (reading) => {
          const { read, sweep } = await readAgain(reading, { id: "again" });
          const op = read.type === "dev.sluice.record.upserted" && read.data.op;
          assert.equal(op, "read", 'what a snapshot reads has `op: "read"`');
          assert.equal(
            sweep.data.reason,
            "sweep",
            'the clear behind a snapshot has `reason: "sweep"`',
          );
          assert.ok(read.sequence >= sweep.data.below, "the sweep removes what was just read");
        });
      },
    },
    {
      name: "a catch-up snapshot is addressed to its audience",
      run: async () => {
        await during(await start(), async (reading) => {
          const { read, sweep } = await readAgain(reading, { id: "late", audience: "newcomer" });
          const audiences = [read.audience, sweep.audience];
          assert.deepEqual(
            audiences,
            ["newcomer", "newcomer"],
            "what is read for a request, and its sweep, have the request's `audience`",
          );
        });
      },
    },
    {
      name: "completes each request once, with its sweep or after it",
      run: async () => {
        const place = state();
        await during(await start({ state: place }), async (reading) => {
          const { sweep } = await readAgain(reading, { id: "first" });
          await reading.request({ id: "second" });
          await completed(reading, "first", "second");
          const at = (what: (batch: SourceBatch<unknown>) => boolean) =>
            reading.batches.findIndex(what);
          const swept = at(({ events }) => events.includes(sweep));
          const done = at(({ completes }) => completes?.includes("first") ?? false);
          assert.ok(done >= swept, "completed before the sweep was published");
          assert.deepEqual(await reading.pending(), [], "asked again for what was completed");
          const all = reading.batches.flatMap(({ completes = [] }) => completes);
          assert.deepEqual(
            all.toSorted(),
            ["first", "second"],
            "`completes` names each request once",
          );
        });
      },
    },
    {
      name: "requests at once are each read for their audience",
      run: async () => {
        await during(await start(), async (reading) => {
          const text = word();
          await origin.put(word(), text);
          await sees(reading, text);
          for (const id of ["east", "west"]) await reading.request({ id, audience: id });
          await completed(reading, "east", "west");
          for (const one of ["east", "west"]) {
            const events = reading.events.filter(({ audience }) => audience === one);
            assert.ok(hold(text)(events), `nothing was read for the audience ${one}`);
            assert.ok(events.some(isClear), `no sweep for the audience ${one}`);
          }
        });
      },
    },
    {
      name: "a snapshot that a crash ended is finished when it is asked for again, once",
      run: async () => {
        const place = state();
        const text = word();
        await origin.put(word(), text);
        await during(await start({ state: place }), (reading) => sees(reading, text));
        const isForLate = ({ audience }: SluiceEvent) => audience === "late";
        const killed = await start({
          state: place,
          killWhen: (events) => events.some((event) => isForLate(event) && isClear(event)),
        });
        try {
          await killed.request({ id: "late", audience: "late" });
          await killed.until((events) => events.some(isForLate), "an event for the audience");
          await killed.ended;
        } catch (error) {
          await killed.stop();
          throw error;
        }
        assert.deepEqual(await killed.pending(), ["late"], "forgotten before it was stored");
        await during(await start({ state: place }), async (reading) => {
          await completed(reading, "late");
          const sweeps = reading.events.filter(isClear).filter(isForLate);
          const origins = new Set(sweeps.map((sweep) => sweep.source));
          assert.ok(sweeps.length > 0 && origins.size === sweeps.length, "one sweep an origin");
          const all = [...killed.events, ...reading.events].filter(isForLate);
          assert.ok(hold(text)(all), "completed, and what is there was never told");
        });
        await during(await start({ state: place }), async (reading) => {
          const news = word();
          await origin.put(word(), news);
          await sees(reading, news);
          assert.ok(!reading.events.some(isForLate), "done, and read again all the same");
        });
      },
    },
  ];
}

function isRead(event: SluiceEvent, subject: string): boolean {
  return of([event], subject).some(({ type }) => type === "dev.sluice.record.upserted");
}

/** Waits until a batch has said of each request that it is done. */
function completed(reading: SourceRun, ...ids: readonly string[]) {
  const isCompleted = (id: string) =>
    reading.batches.some(({ completes }) => completes?.includes(id));
  return reading.until(() => ids.every(isCompleted), `a batch that completes ${ids.join(", ")}`);
}
