import assert from "node:assert/strict";
import type { SnapshotRequest, Source } from "../connector.ts";
import {
  isRecordChange,
  type CollectionCleared,
  type RecordChange,
  type SluiceEvent,
} from "../event.ts";
import { definitionCases, word, type Case } from "./conformance.ts";
import { run, type SourceRun } from "./fakes/run.ts";
import { state } from "./fakes/state.ts";

/** Hands at the origin. Every case uses keys of its own, so one origin serves them all. */
export interface Origin {
  /** Writes one record that holds `text`. Resolves to its event's subject once it is committed. */
  readonly put: (key: string, text: string) => Promise<string>;
  readonly remove: (key: string) => Promise<void>;
}

/** What the runner relies on in a source. `capabilities` decide which cases apply. */
export function sourceConformance(given: {
  readonly source: Source;
  readonly config: Record<string, unknown>;
  readonly origin: Origin;
}): readonly Case[] {
  const { source, config, origin } = given;
  const { deletes, snapshotOnRequest, replays } = source.capabilities;
  const start = (more: Omit<Parameters<typeof run>[1], "config"> = {}) =>
    run(source, { config, ...more });

  const always: Case[] = [
    {
      name: "first emits everything that exists",
      run: async () => {
        const texts = Array.from({ length: 5 }, word);
        for (const text of texts) await origin.put(word(), text);
        await during(await start(), (reading) => reading.until(hold(...texts)));
      },
    },
    {
      name: "resumes after its checkpoint: nothing old, nothing missed",
      run: async () => {
        const place = state();
        const [old, fresh] = [word(), word()];
        const subject = await origin.put(word(), old);
        await during(await start({ state: place }), (reading) => reading.until(hold(old)));
        await origin.put(word(), fresh);
        await during(await start({ state: place }), async (reading) => {
          await reading.until(hold(fresh));
          assert.deepEqual(of(reading.events, subject), []);
        });
      },
    },
    {
      name: "emits what appears while it runs",
      run: async () => {
        await during(await start(), async (reading) => {
          const text = word();
          await origin.put(word(), text);
          await reading.until(hold(text));
        });
      },
    },
    {
      name: "gives a later change a higher version and another id",
      run: async () => {
        await during(await start(), async (reading) => {
          const [key, first, second] = [word(), word(), word()];
          const subject = await origin.put(key, first);
          await reading.until(hold(first));
          await origin.put(key, second);
          await reading.until(hold(second));
          const changes = of(reading.events, subject);
          rising(changes);
          assert.equal(new Set(changes.map(({ id }) => id)).size, changes.length);
          assert.ok(hold(second)(changes.slice(-1)), "the last event holds the last text");
        });
      },
    },
    {
      name: "ends with the last of several quick changes",
      run: async () => {
        await during(await start(), async (reading) => {
          const key = word();
          const texts = Array.from({ length: 5 }, word);
          let subject = "";
          for (const text of texts) subject = await origin.put(key, text);
          const last = hold(...texts.slice(-1));
          await reading.until((events) => last(of(events, subject).slice(-1)));
          rising(of(reading.events, subject));
        });
      },
    },
    {
      name: "returns within a second of an abort, idle or not asked",
      run: async () => {
        const text = word();
        await origin.put(word(), text);
        const idle = await start();
        await idle.until(hold(text));
        assert.ok((await idle.stop()) < 1_000, "took too long while idle");
        const waiting = await start();
        waiting.pause();
        await waiting.until(({ length }) => length > 0);
        assert.ok((await waiting.stop()) < 1_000, "took too long while not asked");
      },
    },
    {
      name: "loses nothing while it is not asked, and yields bounded batches",
      run: async () => {
        await during(await start(), async (reading) => {
          await origin.put(word(), word());
          await reading.until(({ length }) => length > 0);
          reading.pause();
          const texts = Array.from({ length: 30 }, () => word() + "z".repeat(100_000));
          for (const text of texts) await origin.put(word(), text);
          reading.resume();
          await reading.until(hold(...texts));
          for (const { events } of reading.batches) {
            const bytes = events.slice(1).reduce((sum, event) => sum + sizeOf(event), 0);
            assert.ok(events.length <= 1_000, `a batch of ${events.length} events`);
            assert.ok(bytes <= 2 ** 21, `a batch of ${bytes} bytes`);
          }
        });
      },
    },
  ];

  const whenDeletes: Case[] = [
    {
      name: "emits a delete with a higher version",
      run: async () => {
        await during(await start(), async (reading) => {
          const [key, text] = [word(), word()];
          const subject = await origin.put(key, text);
          await reading.until(hold(text));
          await origin.remove(key);
          await reading.until((events) => isGone(events, subject));
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
        await during(await start({ state: place }), (reading) => reading.until(hold(text)));
        await origin.remove(key);
        await during(await start({ state: place }), (reading) =>
          reading.until((events) => isGone(events, subject)),
        );
      },
    },
    {
      name: "a record that comes back is emitted again",
      run: async () => {
        await during(await start(), async (reading) => {
          const [key, text] = [word(), word()];
          const subject = await origin.put(key, text);
          await reading.until(hold(text));
          await origin.remove(key);
          await reading.until((events) => isGone(events, subject));
          await origin.put(key, text);
          await reading.until((events) => !isGone(events, subject));
          rising(of(reading.events, subject));
        });
      },
    },
  ];

  const whenReplays: Case[] = [
    {
      name: "killed between publishing and the checkpoint, it emits again, never with a lower version",
      run: async () => {
        const place = state();
        const text = word();
        const subject = await origin.put(word(), text);
        const first = await start({ state: place, killWhen: hold(text) });
        await first.ended;
        await during(await start({ state: place }), async (second) => {
          await second.until(hold(text));
          const [before] = of(first.events, subject).slice(-1);
          const [after] = of(second.events, subject);
          assert.ok(before && after, "emitted in both runs");
          assert.ok(after.sequence >= before.sequence, "the version went back");
          assert.equal(after.id === before.id, after.sequence === before.sequence, "id ≙ version");
        });
      },
    },
  ];

  const whenReplaysAndDeletes: Case[] = [
    {
      name: "what it emitted just before a crash and is removed while it is down, it deletes",
      run: async () => {
        const place = state();
        const [key, text] = [word(), word()];
        const subject = await origin.put(key, text);
        const first = await start({ state: place, killWhen: hold(text) });
        await first.ended;
        const known = of(first.events, subject).at(-1)?.sequence ?? "";
        await origin.remove(key);
        await during(await start({ state: place }), (second) =>
          second.until(
            (events) =>
              isGone(events, subject) ||
              events.some((event) => isClear(event) && event.data.below > known),
          ),
        );
      },
    },
    {
      name: "a change it emitted just before a crash and is taken back while it is down, it takes back",
      run: async () => {
        const place = state();
        const [key, old, taken] = [word(), word(), word()];
        const subject = await origin.put(key, old);
        await during(await start({ state: place }), (reading) => reading.until(hold(old)));
        await origin.put(key, taken);
        const killed = await start({ state: place, killWhen: hold(taken) });
        await killed.ended;
        await origin.put(key, old);
        await during(await start({ state: place }), async (reading) => {
          await reading.until((events) => hold(old)(of(events, subject).slice(-1)));
          rising([...of(killed.events, subject), ...of(reading.events, subject)]);
        });
      },
    },
  ];

  const whenSnapshots: Case[] = [
    {
      name: "a snapshot on request reads everything again and ends with a sweep",
      run: async () => {
        await during(await start(), async (reading) => {
          const { read, sweep } = await readAgain(reading, { id: "again" });
          assert.equal(read.type === "dev.sluice.record.upserted" && read.data.op, "read");
          assert.equal(sweep.data.reason, "sweep");
          assert.ok(read.sequence >= sweep.data.below, "the sweep removes what was just read");
        });
      },
    },
    {
      name: "a catch-up snapshot is addressed to its audience",
      run: async () => {
        await during(await start(), async (reading) => {
          const { read, sweep } = await readAgain(reading, { id: "late", audience: "newcomer" });
          assert.equal(read.audience, "newcomer");
          assert.equal(sweep.audience, "newcomer");
        });
      },
    },
  ];

  /** Has a record that is known read again; gives its new event and the sweep behind it. */
  const readAgain = async (reading: SourceRun, request: SnapshotRequest) => {
    const text = word();
    const subject = await origin.put(word(), text);
    await reading.until(hold(text));
    const known = of(reading.events, subject).at(-1)?.sequence ?? "";
    const isOver = (event: SluiceEvent) => isClear(event) && event.data.below > known;
    await reading.request(request);
    await reading.until((events) => events.some(isOver));
    const sweep = reading.events.filter(isClear).find(isOver);
    assert.ok(sweep);
    const before = reading.events.slice(0, reading.events.indexOf(sweep));
    rising(of(before, subject));
    const read = of(before, subject).at(-1);
    assert.ok(read && read.sequence > known, "the record was not read before the sweep");
    return { read, sweep };
  };

  return [
    ...definitionCases(source, config),
    ...always,
    ...(deletes ? whenDeletes : []),
    ...(replays ? whenReplays : []),
    ...(replays && deletes ? whenReplaysAndDeletes : []),
    ...(snapshotOnRequest ? whenSnapshots : []),
  ];
}

/** Uses a run and stops it, whatever happens. */
async function during(reading: SourceRun, use: (reading: SourceRun) => Promise<void>) {
  try {
    await use(reading);
  } finally {
    await reading.stop();
  }
}

function hold(...texts: readonly string[]) {
  return (events: readonly SluiceEvent[]) => {
    const all = JSON.stringify(events);
    return texts.every((text) => all.includes(text));
  };
}

function of(events: readonly SluiceEvent[], subject: string): readonly RecordChange[] {
  return events.filter(isRecordChange).filter((event) => event.subject === subject);
}

function isGone(events: readonly SluiceEvent[], subject: string): boolean {
  return of(events, subject).at(-1)?.type === "dev.sluice.record.deleted";
}

function rising(changes: readonly RecordChange[]) {
  const versions = changes.map(({ sequence }) => sequence);
  assert.deepEqual(versions, versions.toSorted(), "versions of one record rise");
}

function isClear(event: SluiceEvent): event is CollectionCleared {
  return isRecordChange(event) && event.type === "dev.sluice.collection.cleared";
}

function sizeOf(event: SluiceEvent): number {
  return Buffer.byteLength(JSON.stringify(event));
}
