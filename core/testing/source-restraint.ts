import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Source } from "../connector.ts";
import type { SluiceEvent } from "../event.ts";
import { word, type Case } from "./conformance.ts";
import { run } from "./fakes/run.ts";
import { heldBytes, leavesNothing, listenersOn } from "./leftovers.ts";
import { during, sees } from "./observed.ts";
import type { SourceBench } from "./source.ts";

/** As much as a record may hold. */
const bulk = "z".repeat(100_000);
const stalledTexts = 120;
/** A batch that waits, one that is being made, and what decoding them takes: well below all of the texts. */
const mayHold = 6 * 2 ** 20;

const idleMs = 500;
/** Heartbeats that it may have in that time. */
const mayBeat = 25;

/** What a source does while nobody asks it, and once it must end. */
export function restraintCases(bench: SourceBench): readonly Case[] {
  const { source, config, origin, patienceMs, start } = bench;
  const putBulk = async (keys: readonly string[]) => {
    for (const key of keys) await origin.put(key, word() + bulk);
  };

  return [
    {
      name: "returns within a second of an abort, idle or not asked",
      run: async () => {
        const text = word();
        await origin.put(word(), text);
        const idle = await start();
        await sees(idle, text);
        await sleep(idleMs); // until it waits for what comes next
        assert.ok((await idle.stop()) < 1_000, "took too long while idle");
        const waiting = await start();
        waiting.pause();
        await origin.put(word(), word()); // an origin that pushes does not tell a new run of what was
        await waiting.until(({ length }) => length > 0, "any event");
        assert.ok((await waiting.stop()) < 1_000, "took too long while not asked");
      },
    },
    {
      name: "leaves nothing open: no timer, socket, file, thread, child or listener",
      run: async () =>
        leavesNothing(
          async (_, text) => during(await start(), (reading) => sees(reading, text)),
          // Who writes to an origin may keep its connections.
          async () => {
            const text = word();
            await origin.put(word(), text);
            return text;
          },
        ),
    },
    {
      name: "adds no listener to its signal with every round",
      run: async () => {
        let signal: AbortSignal | undefined;
        const watched: Source = {
          ...source,
          read: (context) => {
            ({ signal } = context);
            return source.read(context);
          },
        };
        await during(await run(watched, { config, patienceMs }), async (reading) => {
          const rounds = async () => {
            for (let times = 0; times < 8; times += 1) {
              const text = word();
              await origin.put(word(), text);
              await sees(reading, text);
            }
            assert.ok(signal);
            return listenersOn(signal);
          };
          // What a collection takes a little later is none: who leaves listeners behind does so each time.
          let before = await rounds();
          for (let tries = 1; ; tries += 1) {
            const now = await rounds();
            const more = now - before;
            if (more < 6) return;
            assert.ok(tries < 3, `${more} listeners more after 8 changes`);
            before = now;
          }
        });
      },
    },
    {
      name: "does not spin while nothing happens",
      run: async () => {
        const text = word();
        await origin.put(word(), text);
        await during(await start(), async (reading) => {
          await sees(reading, text);
          await sleep(100);
          const before = reading.batches.length;
          await sleep(idleMs);
          const empty = reading.batches.slice(before).filter(({ events }) => events.length === 0);
          assert.ok(
            empty.length <= mayBeat,
            `${empty.length} batches without events in ${idleMs} ms`,
          );
        });
      },
    },
    {
      name: "loses nothing while it is not asked, and yields bounded batches",
      run: async () => {
        await during(await start(), async (reading) => {
          await origin.put(word(), word());
          await reading.until(({ length }) => length > 0, "any event");
          reading.pause();
          const texts = Array.from({ length: 30 }, () => word() + bulk);
          for (const text of texts) await origin.put(word(), text);
          reading.resume();
          await sees(reading, ...texts);
          for (const { events } of reading.batches) {
            const bytes = events.slice(1).reduce((sum, event) => sum + sizeOf(event), 0);
            assert.ok(
              events.length <= 1_000,
              `a batch of ${events.length} events: cut it at 1,000`,
            );
            assert.ok(bytes <= 2 ** 21, `a batch of ${bytes} bytes: cut it where it passes 1 MiB`);
          }
        });
      },
    },
    {
      name: "keeps its memory bounded while it is not asked",
      run: async () => {
        const keys = Array.from({ length: stalledTexts }, word);
        const others = Array.from({ length: stalledTexts }, word);
        // An origin in this process grows as well: so much without the source.
        const empty = await heldBytes();
        await putBulk(keys);
        const grown = (await heldBytes()) - empty;
        await during(await start(), async (reading) => {
          reading.pause();
          await origin.put(word(), word());
          await reading.until(({ length }) => length > 0, "any event");
          // What it has read for that may be large: an origin that answers everything at once.
          const before = await heldBytes();
          await putBulk(others);
          for (let times = 0; times < 5; times += 1) {
            await sleep(100); // it may come to read only now
            const more = (await heldBytes()) - before - grown;
            assert.ok(
              more < mayHold,
              `holds ${more} bytes of events that nobody asked for (or the origin does, in this process: have it heed \`drain\`)`,
            );
          }
        });
        if (source.capabilities.deletes)
          for (const key of [...keys, ...others]) await origin.remove(key);
      },
    },
  ];
}

function sizeOf(event: SluiceEvent): number {
  return Buffer.byteLength(JSON.stringify(event));
}
