import assert from "node:assert/strict";
import type { Source } from "../connector.ts";
import type { SluiceEvent } from "../event.ts";
import { definitionCases, word, type Case } from "./conformance.ts";
import { run } from "./fakes/run.ts";
import { state, type FakeState } from "./fakes/state.ts";
import { during, hold, isClear, isGone, of, rising, sees } from "./observed.ts";
import { requestCases } from "./source-requests.ts";

/**
 * Hands at the origin, past the source. Every case uses keys of its own, letters and digits, so one
 * origin serves them all and need not be emptied between them.
 */
export interface Origin {
  /**
   * Makes the record `key` hold `text` (up to 100 KB), whether it is there or not. Resolves once the
   * origin has it, to the `subject` that its events carry.
   */
  readonly put: (key: string, text: string) => Promise<string>;
  /** Deletes a record that was put. Resolves once it is gone. Unused where `deletes` is false. */
  readonly remove: (key: string) => Promise<void>;
}

/**
 * What the runner relies on in a source. `capabilities` decide which cases apply. An event must show
 * its text somewhere, as it was put; the first must come `patienceMs` (5 s) after a `put` or the start.
 */
export function sourceConformance(given: {
  readonly source: Source;
  readonly config: Record<string, unknown>;
  readonly origin: Origin;
  readonly patienceMs?: number;
}): readonly Case[] {
  const { source, config, origin, patienceMs = 5_000 } = given;
  const { deletes, snapshotOnRequest, replays } = source.capabilities;
  const start = (more: Omit<Parameters<typeof run>[1], "config"> = {}) =>
    run(source, { config, patienceMs, ...more });

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

  const always: Case[] = [
    {
      name: "first emits everything that exists",
      run: async () => {
        const texts = Array.from({ length: 5 }, word);
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
          const text = word();
          await origin.put(word(), text);
          await sees(reading, text);
        });
      },
    },
    {
      name: "gives a later change a higher version and another id",
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
      name: "ends with the last of several quick changes",
      run: async () => {
        await during(await start(), async (reading) => {
          const key = word();
          const texts = Array.from({ length: 5 }, word);
          let subject = "";
          for (const text of texts) subject = await origin.put(key, text);
          const last = hold(...texts.slice(-1));
          await reading.until(
            (events) => last(of(events, subject).slice(-1)),
            `${subject} to end with the last of its texts`,
          );
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
        await sees(idle, text);
        assert.ok((await idle.stop()) < 1_000, "took too long while idle");
        const waiting = await start();
        waiting.pause();
        await origin.put(word(), word()); // an origin that pushes does not tell a new run of what was
        await waiting.until(({ length }) => length > 0, "any event");
        assert.ok((await waiting.stop()) < 1_000, "took too long while not asked");
      },
    },
    {
      name: "loses nothing while it is not asked, and yields bounded batches",
      run: async () => {
        await during(await start(), async (reading) => {
          await origin.put(word(), word());
          await reading.until(({ length }) => length > 0, "any event");
          reading.pause();
          const texts = Array.from({ length: 30 }, () => word() + "z".repeat(100_000));
          for (const text of texts) await origin.put(word(), text);
          reading.resume();
          await sees(reading, ...texts);
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

  const whenReplays: Case[] = [
    {
      name: "killed between publishing and the checkpoint, it emits again, never with a lower version",
      run: async () => {
        const place = state();
        const text = word();
        const subject = await origin.put(word(), text);
        const first = await crashed(place, text);
        await during(await start({ state: place }), async (second) => {
          await sees(second, text);
          const [before] = of(first.events, subject).slice(-1);
          const [after] = of(second.events, subject);
          assert.ok(before && after, "emitted in both runs");
          assert.ok(after.sequence >= before.sequence, "the version went back");
          assert.equal(after.id === before.id, after.sequence === before.sequence, "id ≙ version");
        });
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
          rising([...of(killed.events, subject), ...of(reading.events, subject)]);
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
    ...definitionCases(source, config),
    ...always,
    ...(deletes ? whenDeletes : []),
    ...(replays ? whenReplays : []),
    ...(replays && deletes ? whenReplaysAndDeletes : []),
    ...(snapshotOnRequest ? requestCases(origin, start) : []),
  ];
}

function sizeOf(event: SluiceEvent): number {
  return Buffer.byteLength(JSON.stringify(event));
}
