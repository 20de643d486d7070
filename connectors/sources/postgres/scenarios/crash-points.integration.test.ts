import { expect } from "vitest";
import type { SluiceEvent, StateWrite } from "sluice";
import { fakes } from "sluice/testing";
import { eventually, held, isSweep, type Bench } from "./harness.ts";
import { crashing, onBoth } from "./on-both.test.data.ts";

const config = { tables: ["t"], chunkRows: 10 };

/** The value that a batch stores under a key of the source's own; undefined when it stores none. */
const stored = (writes: readonly StateWrite[], key: string) =>
  writes.find((write) => write.key === key)?.value as
    | { readonly isDone?: boolean; readonly rows?: number; readonly lsn?: string }
    | undefined;
const touches = (writes: readonly StateWrite[], key: string) =>
  writes.some((write) => write.key === key);

type Point = (writes: readonly StateWrite[], events: readonly SluiceEvent[]) => boolean;

/** The crash points of the spec, each by the batch that is published there. */
const points: Readonly<Record<string, Point>> = {
  "the slot is made, and nothing read": (writes) => touches(writes, "epoch"),
  "the snapshot has begun": (writes) => stored(writes, "run") !== undefined,
  "a chunk is handed over": (writes) => (stored(writes, "copy/public.t")?.rows ?? 0) > 0,
  "a part of a chunk is handed over": (writes) => {
    const rows = stored(writes, "copy/public.t")?.rows ?? 0;
    return rows > 0 && rows % 10 !== 0;
  },
  "a window is open, and the stream brings a row of it": (writes, events) =>
    !touches(writes, "copied/public.t") && events.some((event) => opOf(event) === "update"),
  "the last chunk is done, and its sweep published": (writes) =>
    stored(writes, "copy/public.t")?.isDone === true,
  "the table is marked": (writes) => touches(writes, "copied/public.t"),
  "a change is streamed": (writes, events) =>
    touches(writes, "checkpoint") && events.some((event) => event.subject === '["9000"]'),
};

const opOf = (event: SluiceEvent) => (event.data as { readonly op?: string } | undefined)?.op;

async function fill({ sql }: Bench, bytes = 10): Promise<void> {
  await sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
  await sql("ALTER TABLE t ALTER data SET STORAGE EXTERNAL");
  await sql(`INSERT INTO t SELECT n, repeat('x', ${bytes}) FROM generate_series(1, 60) n`);
}

async function ends({ sql }: Bench, events: () => readonly SluiceEvent[]): Promise<void> {
  const rows = await sql("SELECT id, data FROM t");
  const wanted = new Map(rows.map((row) => [`["${String(row["id"])}"]`, row["data"]]));
  const now = () => new Map([...held(events())].map(([key, row]) => [key, row["data"]]));
  await eventually(
    () => now().size === wanted.size && [...now()].every(([key, data]) => wanted.get(key) === data),
    "the table's rows",
  ).catch(() => undefined);
  expect(now()).toEqual(wanted);
}

onBoth((scenario) => {
  for (const [name, isThere] of Object.entries(points))
    for (const what of ["before", "after"] as const)
      scenario(`crash ${what} the checkpoint is stored: ${name}`, async (bench) => {
        const { sql } = bench;
        await fill(bench, name.startsWith("a part") ? 300_000 : 10);
        const place = fakes.state();
        let dying: { readonly events: readonly SluiceEvent[] } = { events: [] };
        let seen = 0;
        const crash = crashing(place, (writes) => {
          const fresh = dying.events.slice(seen);
          seen = dying.events.length;
          return isThere(writes, fresh) ? what : undefined;
        });
        const first = await bench.start(config, { state: crash.state });
        dying = first;
        let n = 0;
        const until = performance.now() + 10_000;
        while (!crash.crashed() && performance.now() < until) {
          await sql("UPDATE t SET data = data || 'u' WHERE id = 1 + $1 % 60", [n++ * 7]);
          if (first.events.some(isSweep))
            await sql("INSERT INTO t VALUES (9000, 'streamed') ON CONFLICT DO NOTHING");
        }
        await expect(first.ended).rejects.toMatchObject({ name: "Crash" });
        // Before the key that was reached, behind it, and around it.
        await sql("DELETE FROM t WHERE id IN (1, 9, 10, 11, 21, 59)");
        await sql("UPDATE t SET data = 'down' WHERE id IN (2, 12, 58)");
        await sql("UPDATE t SET id = id + 1000 WHERE id IN (3, 30)");
        const second = await bench.start(config, { state: place });
        await second.until(() => [...first.events, ...second.events].some(isSweep));
        await ends(bench, () => [...first.events, ...second.events]);
        await eventually(
          async () => (await place.state.get(["copied/public.t"]))[0] !== undefined,
          "the end",
        );
        expect((await place.state.get(["run", "copy/public.t"])).filter(Boolean)).toEqual([]);
      });

  for (const what of ["before", "after"] as const)
    scenario(
      `crash ${what} the checkpoint is stored: a part of a page of the stream`,
      async (bench) => {
        const { sql } = bench;
        await fill(bench, 300_000);
        await sql("ALTER TABLE t ADD n int");
        const place = fakes.state();
        let dying: { readonly events: readonly SluiceEvent[] } = { events: [] };
        // The values left alone are read again, a few rows at a time: the page has many parts.
        const updated = () => dying.events.filter((event) => opOf(event) === "update").length;
        const crash = crashing(place, () => (updated() > 0 && updated() < 60 ? what : undefined));
        const first = await bench.streaming(config, { state: crash.state });
        dying = first;
        await sql("UPDATE t SET n = id");
        await expect(first.ended).rejects.toMatchObject({ name: "Crash" });
        const second = await bench.start(config, { state: place });
        const both = () => [...first.events, ...second.events];
        const numbers = () => [...held(both()).values()].filter((row) => row["n"] !== null).length;
        await second.until(() => numbers() === 60, "every row's number");
      },
    );

  scenario("crash behind the publication, before the slot", async (bench) => {
    const { sql, start, client } = bench;
    await fill(bench);
    await client.query("CREATE TABLE other(id int)");
    await client.query("BEGIN; INSERT INTO other VALUES (1)");
    const place = fakes.state();
    const first = await start(config, { state: place });
    await eventually(async () => (await place.state.get(["slot"]))[0] !== undefined, "the claim");
    await eventually(async () => (await bench.slot()) !== undefined, "a slot in the making");
    expect(await sql("SELECT pubname FROM pg_publication")).toHaveLength(1);
    expect(await first.stop()).toBeLessThan(1_000);
    await client.query("COMMIT");
    const second = await bench.streaming(config, { state: place });
    await ends(bench, () => second.events);
  });
});
