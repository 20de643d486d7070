import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { SluiceEvent } from "sluice";
import { fakes } from "sluice/testing";
import { eventually, held, isSweep, type Bench } from "./harness.ts";
import { crashing, onBoth } from "./on-both.test.data.ts";

const dataOf = (events: readonly SluiceEvent[], source = "") =>
  new Map([...held(events, source)].map(([key, row]) => [key, row["data"]]));
const opOf = (event: SluiceEvent) => (event.data as { readonly op?: string } | undefined)?.op;
const isOfT = ({ source }: SluiceEvent) => source.endsWith(".t");
const reads = (events: readonly SluiceEvent[]) => events.filter((event) => opOf(event) === "read");

async function same({ sql }: Bench, events: () => readonly SluiceEvent[]): Promise<void> {
  const rows = await sql("SELECT id, data FROM t");
  const wanted = new Map(rows.map((row) => [`["${String(row["id"])}"]`, row["data"]]));
  await eventually(() => {
    const now = dataOf(events(), "public.t");
    return now.size === wanted.size && [...now].every(([key, data]) => wanted.get(key) === data);
  }, "the table's rows").catch(() => undefined);
  expect(dataOf(events(), "public.t")).toEqual(wanted);
}

async function fill({ sql }: Bench, rows = 1_000): Promise<void> {
  await sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
  await sql(`INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, ${rows}) n`);
}

onBoth((scenario) => {
  scenario("N1: rows inserted while it starts are there, once", async (bench) => {
    await fill(bench, 10);
    const run = await bench.start({ tables: ["t"] });
    for (let n = 11; !run.events.some(isSweep); n++)
      await bench.sql("INSERT INTO t VALUES ($1, 'late')", [n]);
    await same(bench, () => run.events);
    const versions = run.events.map(
      ({ source, subject, sequence }) => `${source} ${subject} ${String(sequence)}`,
    );
    expect(new Set(versions).size).toBe(versions.length);
  });

  scenario(
    "N2: a copy that was killed goes on where it was; a table can be left out",
    async (bench) => {
      const { sql } = bench;
      await fill(bench);
      await sql(
        "CREATE TABLE gone(id int PRIMARY KEY); INSERT INTO gone SELECT generate_series(1, 500)",
      );
      const state = fakes.state();
      const config = { tables: ["t", "gone"], chunkRows: 50, parallelTables: 1 };
      const crash = crashing(state, (writes) => {
        const copy = writes.find(({ key }) => key === "copy/public.t")?.value as
          | { rows?: number }
          | undefined;
        return (copy?.rows ?? 0) >= 400 ? "after" : undefined;
      });
      const first = await bench.start(config, { state: crash.state });
      for (let n = 0; !crash.crashed(); n++) {
        await sql("UPDATE t SET data = $1 WHERE id = $2", [`u${n}`, 1 + ((n * 37) % 1_000)]);
        await sql("INSERT INTO t VALUES ($1, 'new')", [2_000 + n]);
      }
      await expect(first.ended).rejects.toMatchObject({ name: "Crash" });
      const second = await bench.start({ ...config, tables: ["t"] }, { state });
      second.pause();
      await sql("UPDATE t SET data = 'paused' WHERE id IN (1, 1000)");
      second.resume();
      await second.until((events) => [...first.events, ...events].some(isSweep));
      await same(bench, () => [...first.events, ...second.events]);
      const again = new Set(
        reads(first.events)
          .filter(isOfT)
          .map(({ subject }) => subject),
      );
      const twice = reads(second.events)
        .filter(isOfT)
        .filter(({ subject }) => again.has(subject));
      expect(twice.map(({ subject }) => subject)).toEqual([]);
      expect(reads(second.events).length).toBeGreaterThan(100);
      expect(second.events.some(({ source }) => source.endsWith("gone"))).toBe(false);
    },
  );

  const keys = {
    bool: "bool NOT NULL PRIMARY KEY <- SELECT n % 2 = 0 FROM generate_series(1, 2) n",
    char: "char(4) PRIMARY KEY <- SELECT chr(33 + n) || repeat(' ', n % 3) FROM generate_series(1, 60) n",
    numeric:
      "numeric PRIMARY KEY <- SELECT CASE n WHEN 1 THEN 'NaN'::numeric ELSE (30 - n) * 1.10 END FROM generate_series(1, 60) n",
    double:
      "float8 PRIMARY KEY <- SELECT CASE n WHEN 1 THEN '-Infinity'::float8 WHEN 2 THEN 'NaN' ELSE (30 - n) / 7.0 END FROM generate_series(1, 60) n",
    macaddr:
      "macaddr PRIMARY KEY <- SELECT ('08:00:2b:01:02:' || lpad(to_hex(n * 3), 2, '0'))::macaddr FROM generate_series(1, 60) n",
    uuid: "uuid PRIMARY KEY <- SELECT md5(n::text)::uuid FROM generate_series(1, 60) n",
    text: `text COLLATE "C" PRIMARY KEY <- SELECT chr(64 + n) || chr(191 + n) FROM generate_series(1, 60) n`,
    timestamptz:
      "timestamptz PRIMARY KEY <- SELECT now() + n * interval '1.000001 second' FROM generate_series(1, 60) n",
  };
  scenario(
    "N3: keys of any type are read once each, across the borders of chunks",
    async (bench) => {
      const { sql } = bench;
      for (const [name, text] of Object.entries(keys)) {
        const [type, rows] = text.split(" <- ");
        await sql(`CREATE TABLE "k_${name}"(k ${type})`);
        await sql(`INSERT INTO "k_${name}" ${rows}`);
      }
      await sql("CREATE TYPE color AS ENUM ('red', 'green', 'blue')");
      await sql("CREATE TABLE k_enum(color color, id int, PRIMARY KEY (color, id))");
      await sql(
        "INSERT INTO k_enum SELECT c, n FROM unnest(enum_range(NULL::color)) c, generate_series(1, 21) n",
      );
      await sql("CREATE TABLE k_unsure(id int PRIMARY KEY, rank int NOT NULL)");
      await sql("ALTER TABLE k_unsure REPLICA IDENTITY FULL");
      const tables = [...Object.keys(keys), "enum"].map((name) => `public.k_${name}`);
      await expect(
        (await bench.start({ tables: [{ name: "k_unsure", key: ["rank"] }] })).ended,
      ).rejects.toMatchObject({ fix: expect.stringContaining("rank") as string });
      const run = await bench.start({ tables, chunkRows: 10 });
      await run.until((events) => events.filter(isSweep).length === tables.length);
      for (const name of tables) {
        const of = reads(run.events).filter(({ source }) => source.endsWith(name));
        const [row] = await sql(`SELECT count(*)::int AS count FROM ${name}`);
        expect([name, of.length, new Set(of.map(({ subject }) => subject)).size]).toEqual([
          name,
          row?.["count"],
          row?.["count"],
        ]);
      }
      const colors = reads(run.events)
        .filter(({ source }) => source.endsWith("k_enum"))
        .map(({ subject = "" }) => (JSON.parse(subject) as readonly string[])[0] ?? "");
      expect([...new Set(colors)]).toEqual(["red", "green", "blue"]);
      expect(colors).toHaveLength(63);
      // They find their records again.
      await sql("DELETE FROM k_numeric WHERE k = 'NaN'; DELETE FROM k_char WHERE k = chr(34)");
      await run.until(
        (events) => events.filter(({ type }) => type.endsWith("deleted")).length === 2,
      );
      expect([held(run.events, "k_numeric").size, held(run.events, "k_char").size]).toEqual([
        59, 59,
      ]);
    },
  );

  scenario("N4: rows deleted while they are copied do not come back", async (bench) => {
    const { sql } = bench;
    await fill(bench);
    const run = await bench.start({ tables: ["t"], chunkRows: 20 });
    for (let n = 0; !run.events.some(isSweep) && n < 400; n++)
      await sql("DELETE FROM t WHERE id IN ($1, $2)", [
        1 + ((n * 7) % 500),
        500 + ((n * 11) % 500),
      ]);
    await run.until((events) => events.some(isSweep));
    await same(bench, () => run.events);
  });

  scenario(
    "a change that waits for a synchronous standby is not undone by a copy, nor after a restart",
    async (bench) => {
      const { sql, database, client } = bench;
      await fill(bench, 20);
      await sql("CREATE TABLE marks(id int PRIMARY KEY)");
      await sql(`ALTER DATABASE ${database} SET synchronous_commit = local`);
      const state = fakes.state();
      const config = { tables: ["t", "marks"] };
      const first = await bench.start(config, { state });
      await first.until((events) => events.filter(isSweep).length === 2);
      const app = await bench.connect();
      try {
        await sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'; ").catch(() => undefined);
        await sql("SELECT pg_reload_conf()");
        await eventually(
          async () =>
            (await sql("SHOW synchronous_standby_names"))[0]?.["synchronous_standby_names"] ===
            "nobody",
          "the standby to be waited for",
        );
        await app.query("SET synchronous_commit = on");
        const waiting = app.query("UPDATE t SET data = 'newer' WHERE id = 7");
        await first.until(
          (events) => dataOf(events, "public.t").get('["7"]') === "newer",
          "the change that nobody sees",
        );
        expect((await sql("SELECT data FROM t WHERE id = 7"))[0]?.["data"]).toBe("row 7");
        await first.request({ id: "again" });
        await client.query("SET synchronous_commit = local; INSERT INTO marks VALUES (1)");
        await first.until((events) => held(events, "marks").has('["1"]'));
        await first.stop();
        // The run before has been told of it: that must not be forgotten.
        const second = await bench.start(config, { state });
        await client.query("INSERT INTO marks VALUES (2)");
        await second.until((events) => held(events, "marks").has('["2"]'));
        await eventually(
          () => second.lines.some(({ message }) => message === "snapshot begins"),
          "the snapshot",
        );
        await sleep(300); // it would have been copied by then
        await sql("ALTER SYSTEM RESET synchronous_standby_names");
        await sql("SELECT pg_reload_conf()");
        await waiting;
        await second.until((events) => events.filter(isSweep).length === 2);
        expect(dataOf([...first.events, ...second.events], "public.t").get('["7"]')).toBe("newer");
      } finally {
        await sql("ALTER SYSTEM RESET synchronous_standby_names");
        await sql("SELECT pg_reload_conf()");
        await app.end();
      }
    },
  );

  scenario("a table that is locked holds up its own copy, not the stream", async (bench) => {
    const { sql } = bench;
    await fill(bench, 300);
    await sql("ALTER TABLE t ADD n int; ALTER TABLE t ALTER data SET STORAGE EXTERNAL");
    await sql("UPDATE t SET data = repeat('long', 1000) WHERE id = 1");
    await sql("CREATE TABLE locked(id int PRIMARY KEY); INSERT INTO locked VALUES (1)");
    const other = await bench.connect();
    try {
      const config = { tables: ["locked", "t"], chunkRows: 50, heartbeatMs: 100 };
      const run = await bench.start(config);
      await run.until((events) => events.filter(isSweep).length === 2);
      await other.query("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE");
      await run.request({ id: "again", collections: ["locked"] });
      await eventually(
        async () =>
          (
            await sql(
              "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
            )
          ).length > 0,
        "somebody who waits",
      );
      // Its long value is read again.
      await sql("UPDATE t SET n = 7 WHERE id = 1");
      await sql("INSERT INTO t VALUES (1000, 'meanwhile')");
      await run.until((events) => held(events, "public.t").has('["1000"]'));
      expect(held(run.events, "public.t").get('["1"]')).toMatchObject({
        n: 7,
        data: "long".repeat(1_000),
      });
      expect(await run.pending()).toEqual(["again"]);
      await other.query("COMMIT");
      await eventually(async () => (await run.pending()).length === 0, "the copy");
      expect(held(run.events, "public.locked").size).toBe(1);
      await same(bench, () => run.events);
    } finally {
      await other.end();
    }
  });

  scenario(
    "wide rows and a transaction of 200,000 take little memory, and can be cut anywhere",
    async (bench) => {
      const { sql } = bench;
      await sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
      await sql("ALTER TABLE t ALTER data SET STORAGE EXTERNAL");
      // Narrow ones first: the rows of a chunk are guessed from those before.
      await sql("INSERT INTO t SELECT n, 'x' FROM generate_series(-3000, 0) n");
      await sql(
        "INSERT INTO t SELECT n, repeat(chr(65 + n % 26), 1000000) FROM generate_series(1, 200) n",
      );
      const state = fakes.state();
      const run = await bench.start({ tables: ["t"] }, { state });
      await run.until((events) => events.some(isSweep), "the copy");
      expect(held(run.events).size).toBe(3_201);
      // What is read at once shares a marker.
      const chunks = new Map<string, number>();
      for (const event of reads(run.events)) {
        const { meta, after } = event.data as { meta: { lsn: string }; after: { data: string } };
        chunks.set(meta.lsn, (chunks.get(meta.lsn) ?? 0) + after.data.length);
      }
      expect(Math.max(...chunks.values())).toBeLessThan(4e6);
      await run.stop();
      await sql("INSERT INTO t SELECT n, 'y' FROM generate_series(1001, 201000) n");
      const killed = await bench.start(
        { tables: ["t"] },
        { state, killWhen: (events) => events.length > 70_000 },
      );
      await killed.ended;
      const stored = killed.events.length - (killed.batches.at(-1)?.events.length ?? 0);
      const next = await bench.start({ tables: ["t"] }, { state });
      await next.until((events) => events.length + stored >= 200_000);
      const ids = new Set([...killed.events, ...next.events].map(({ id }) => id));
      expect([ids.size, next.events.length + stored]).toEqual([200_000, 200_000]);
      expect(Math.max(...next.batches.map(({ events }) => events.length))).toBeLessThanOrEqual(
        1_000,
      );
    },
  );
});
