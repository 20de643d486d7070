import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { JsonObject } from "sluice";
import { fakes } from "sluice/testing";
import {
  eventually,
  expectRows,
  held,
  lines,
  onServers,
  rowEvents,
  snapshots,
  story,
  sweeps,
  type Bench,
} from "./harness.ts";

onServers((scenario) => {
  scenario("D1: a truncate removes every record of the table, and no later one", async (bench) => {
    const { all, together, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, data text)",
      "CREATE TABLE other(id int PRIMARY KEY)",
      "INSERT INTO t VALUES (1,'one'),(2,'two')",
      "INSERT INTO other VALUES (1)",
    );
    const run = await streaming({ tables: ["t", "other"] });
    const from = run.events.length;
    await all("TRUNCATE t", "INSERT INTO t VALUES (5,'five'),(6,'six')");
    await caughtUp(run);
    expect(story(run, from)).toEqual([
      "x truncate",
      '+ ["5"] {"id":5,"data":"five"}',
      '+ ["6"] {"id":6,"data":"six"}',
    ]);
    await together(
      "INSERT INTO t VALUES (7,'seven')",
      "TRUNCATE t",
      "INSERT INTO t VALUES (7,'again'),(8,'eight')",
      "UPDATE t SET data='eight!' WHERE id=8",
    );
    await caughtUp(run);
    await expectRows(bench, run, "t");
    expect(held(run.events, "/public.other").size).toBe(1);
  });

  scenario("D2: a truncate of two tables is two events of one transaction", async (bench) => {
    const { all, together, streaming, caughtUp } = bench;
    for (const table of ["a", "b", "c"])
      await all(
        `CREATE TABLE ${table}(id int PRIMARY KEY, n int)`,
        `INSERT INTO ${table} VALUES (1,1),(2,2)`,
      );
    const run = await streaming({ tables: ["a", "b", "c"] });
    let from = run.events.length;
    await all("TRUNCATE a, b");
    await caughtUp(run);
    const [first, second, ...more] = rowEvents(run, from);
    expect(story(run, from)).toEqual(["public.a x truncate", "public.b x truncate"]);
    expect(more).toEqual([]);
    const xidOf = (event: typeof first) =>
      (event?.data as { meta: { xid: number } } | undefined)?.meta.xid;
    expect(xidOf(first)).toBeTypeOf("number");
    expect(xidOf(first)).toBe(xidOf(second));
    expect(first?.id).not.toBe(second?.id);
    for (const [table, size] of [
      ["a", 0],
      ["b", 0],
      ["c", 2],
    ] as const)
      expect(held(run.events, `/public.${table}`).size).toBe(size);

    from = run.events.length;
    await together(
      "INSERT INTO a VALUES (1,10)",
      "INSERT INTO b VALUES (1,10)",
      "INSERT INTO c VALUES (3,10)",
      "TRUNCATE a, b, c",
      "INSERT INTO a VALUES (1,20)",
      "INSERT INTO b VALUES (2,20)",
      "TRUNCATE b",
      "INSERT INTO c VALUES (3,20)",
      "UPDATE a SET n=21",
    );
    await caughtUp(run);
    for (const table of ["a", "b", "c"]) await expectRows(bench, run, table);
  });

  scenario("D2: a cascade truncates what is captured of what it takes along", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE a(id int PRIMARY KEY)",
      "CREATE TABLE b(id int PRIMARY KEY REFERENCES a)",
      "CREATE TABLE unseen(id int PRIMARY KEY REFERENCES a)",
      "INSERT INTO a VALUES (1)",
      "INSERT INTO b VALUES (1)",
    );
    const run = await streaming({ tables: ["a", "b"] });
    const from = run.events.length;
    await all("TRUNCATE a CASCADE");
    await caughtUp(run);
    expect(story(run, from).toSorted()).toEqual(["public.a x truncate", "public.b x truncate"]);
  });

  scenario("D3: columns come, go, change name and type, over a restart too", async (bench) => {
    const { all, streaming, start, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, data text, n int)",
      "CREATE TABLE still(id int PRIMARY KEY, data text)",
      "INSERT INTO t VALUES (1,'one',1)",
      "INSERT INTO still VALUES (1,'one')",
    );
    const state = fakes.state();
    const first = await streaming({ tables: ["t", "still"] }, { state });
    const from = first.events.length;
    await all(
      "ALTER TABLE t ADD COLUMN extra text",
      "INSERT INTO t VALUES (2,'two',2,'e')",
      "ALTER TABLE t DROP COLUMN data",
      "INSERT INTO t VALUES (3,3,'e')",
    );
    await caughtUp(first);
    expect(story(first, from)).toEqual([
      '+ ["2"] {"id":2,"data":"two","n":2,"extra":"e"}',
      '+ ["3"] {"id":3,"n":3,"extra":"e"}',
    ]);
    await first.stop();
    // Log of three shapes, read when only the last one is in the catalog.
    await all(
      "ALTER TABLE still ADD COLUMN more int",
      "INSERT INTO t VALUES (4,4,'e')",
      "ALTER TABLE t RENAME COLUMN extra TO label",
      "INSERT INTO t VALUES (5,5,'l')",
      "ALTER TABLE t ALTER n TYPE numeric(10,2)",
      "INSERT INTO t VALUES (6,6,'l')",
    );
    const again = await start({ tables: ["t", "still"] }, { state });
    await caughtUp(again);
    expect(story(again)).toEqual([
      '+ ["4"] {"id":4,"n":4,"extra":"e"}',
      '+ ["5"] {"id":5,"n":5,"label":"l"}',
      '+ ["6"] {"id":6,"n":"6.00","label":"l"}',
    ]);
    expect(lines(again, /columns changed/)).toMatchObject([
      { table: "public.t", columns: ["label"] },
      { table: "public.t", columns: ["n"] },
    ]);
    await all("UPDATE still SET more=1");
    await caughtUp(again);
    expect(story(again).at(-1)).toBe('public.still + ["1"] {"id":1,"data":"one","more":1}');
  });

  scenario(
    "D3: what a rewrite changed unseen is read again if the user wants it",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      await all("CREATE TABLE t(id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1,1),(2,2)");
      const run = await streaming({ tables: ["t"], onSchemaChange: "resnapshot" });
      await all("UPDATE t SET n=3 WHERE id=1", "ALTER TABLE t ALTER n TYPE text USING 'n' || n");
      await all("UPDATE t SET n='x' WHERE id=1");
      await snapshots(run, 2);
      await caughtUp(run);
      await expectRows(bench, run, "t");
    },
  );

  scenario("D4: a column added and used in one transaction is there", async (bench) => {
    const { all, together, streaming, caughtUp } = bench;
    await all("CREATE TABLE t(id int PRIMARY KEY, data text)");
    const run = await streaming({ tables: ["t"] });
    const from = run.events.length;
    await together(
      "INSERT INTO t VALUES (8,'w')",
      "ALTER TABLE t ADD COLUMN extra text",
      "INSERT INTO t VALUES (9,'x','y')",
      "CREATE TYPE mood AS ENUM ('fine')",
      "ALTER TABLE t ADD COLUMN mood mood, ADD COLUMN moods mood[]",
      "INSERT INTO t VALUES (10,'x','y','fine','{fine}')",
    );
    await caughtUp(run);
    expect(story(run, from)).toEqual([
      '+ ["8"] {"id":8,"data":"w"}',
      '+ ["9"] {"id":9,"data":"x","extra":"y"}',
      '+ ["10"] {"id":10,"data":"x","extra":"y","mood":"fine","moods":["fine"]}',
    ]);
  });

  scenario("D5: columns that differ only in case are kept apart", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      'CREATE TABLE c(id int PRIMARY KEY, name text, "Name" text)',
      "INSERT INTO c VALUES (1,'low','High')",
    );
    const run = await streaming({ tables: ["c"] });
    await all("INSERT INTO c VALUES (2,'l','H')");
    await caughtUp(run);
    expect([...held(run.events, "/public.c").values()]).toEqual([
      { id: 1, name: "low", Name: "High" },
      { id: 2, name: "l", Name: "H" },
    ]);
  });

  scenario(
    "a key of another type: the table is read again, whoever notices first",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      const tables = ["a", "b", "c"];
      for (const table of tables)
        await all(
          `CREATE TABLE ${table}(id int PRIMARY KEY, n int)`,
          `INSERT INTO ${table} VALUES (1,1),(2,2)`,
        );
      const run = await streaming({ tables }, { lookEveryMs: 200 });
      // `a` has been in the stream before; `b` comes there only after; `c` never does.
      await all("UPDATE a SET n=3 WHERE id=1");
      for (const table of tables) await all(`ALTER TABLE ${table} ALTER id TYPE numeric(10,1)`);
      await all("UPDATE a SET n=4 WHERE id=1", "UPDATE b SET n=4 WHERE id=1");
      await snapshots(run, 2);
      await caughtUp(run);
      for (const table of tables) {
        await expectRows(bench, run, table);
        expect([...held(run.events, `/public.${table}`).keys()].toSorted()).toEqual([
          '["1.0"]',
          '["2.0"]',
        ]);
      }
    },
  );

  scenario(
    "a key of another type, and another name, while the source stood still",
    async (bench) => {
      const { all, streaming, start } = bench;
      const tables = ["a", "b", "c"];
      for (const table of tables)
        await all(
          `CREATE TABLE ${table}(id int PRIMARY KEY, n int)`,
          `INSERT INTO ${table} VALUES (1,1),(2,2)`,
        );
      const state = fakes.state();
      const first = await streaming({ tables }, { state });
      await first.stop();
      await all(
        "UPDATE a SET n=3 WHERE id=1",
        "ALTER TABLE a RENAME COLUMN id TO no",
        "UPDATE a SET n=4 WHERE no=2",
        "INSERT INTO b VALUES (3,3)",
        "DELETE FROM b WHERE id=1",
        "ALTER TABLE b ALTER id TYPE text USING 'k' || id",
        "INSERT INTO b VALUES ('k4',4)",
        "ALTER TABLE c ALTER id TYPE text USING 'k' || id",
      );
      const again = await start({ tables }, { state });
      for (const table of tables) await expectRows(bench, [first, again], table);
      await again.stop();
    },
  );

  scenario("a primary key that becomes another one is followed", async (bench) => {
    const { all, streaming } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, code text NOT NULL, n int)",
      "INSERT INTO t VALUES (1,'a',1),(2,'b',2)",
    );
    const run = await streaming({ tables: ["t"] });
    await all("UPDATE t SET n=3 WHERE id=1");
    await all(
      "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (code)",
      "UPDATE t SET n=4 WHERE id=1",
    );
    await snapshots(run, 2);
    await all("DELETE FROM t WHERE id=2", "UPDATE t SET code='c' WHERE id=1");
    await expectRows(bench, run, "t");
    expect([...held(run.events, "/public.t").keys()]).toEqual(['["c"]']);
  });

  scenario("an identity that becomes an index over other columns is followed", async (bench) => {
    const { all, streaming } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, code text NOT NULL UNIQUE, n int)",
      "INSERT INTO t VALUES (1,'a',1),(2,'b',2),(3,'c',3)",
    );
    const run = await streaming({ tables: ["t"] });
    await all(
      "UPDATE t SET n=3 WHERE id=1",
      "ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key",
      "UPDATE t SET n=4 WHERE id=1",
      "DELETE FROM t WHERE id=2",
      "UPDATE t SET code='d' WHERE id=1",
    );
    await snapshots(run, 2);
    await all("DELETE FROM t WHERE id=3");
    await expectRows(bench, run, "t", { key: ["code"] });
  });

  scenario(
    "an identity lost for a while stops its table only, and it is read again",
    async (bench) => {
      const { all, sql, streaming, caughtUp } = bench;
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, code text NOT NULL UNIQUE, n int)",
        "CREATE TABLE other(id int PRIMARY KEY, n int)",
        "INSERT INTO t VALUES (1,'a',1),(2,'b',2),(3,'c',3)",
        "INSERT INTO other VALUES (1,1)",
      );
      const config = { tables: [{ name: "t", key: ["id"] }, "other"] };
      const run = await streaming(config, { lookEveryMs: 200 });
      await all(
        "ALTER TABLE t REPLICA IDENTITY USING INDEX t_code_key",
        "DELETE FROM t WHERE id=2",
        "UPDATE other SET n=2",
      );
      await caughtUp(run);
      expect(held(run.events, "/public.other").get('["1"]')).toEqual({ id: 1, n: 2 });
      await eventually(() => lines(run, /table stops/).length === 1, "a warning");
      expect(lines(run, /table stops/)).toMatchObject([
        { table: "public.t", fix: 'Run: ALTER TABLE "public"."t" REPLICA IDENTITY DEFAULT;' },
      ]);
      await all("UPDATE t SET n=9 WHERE id=3", "ALTER TABLE t REPLICA IDENTITY DEFAULT");
      await expectRows(bench, run, "t");
      await all("UPDATE t SET n=10", "DELETE FROM t WHERE id=1");
      await expectRows(bench, run, "t");
      expect(await sql("SELECT tablename FROM pg_publication_tables ORDER BY 1")).toMatchObject([
        { tablename: "other" },
        { tablename: "t" },
      ]);
    },
  );

  scenario(
    "an identity of NOTHING: the application's updates come back, and then the table",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, n int)",
        "CREATE TABLE other(id int PRIMARY KEY, n int)",
        "INSERT INTO t VALUES (1,1),(2,2)",
        "INSERT INTO other VALUES (1,1)",
      );
      const run = await streaming({ tables: ["t", "other"] }, { lookEveryMs: 200 });
      await all(
        "UPDATE t SET n=3 WHERE id=1",
        "ALTER TABLE t REPLICA IDENTITY NOTHING",
        "INSERT INTO t VALUES (3,3)",
        "UPDATE other SET n=2",
      );
      await caughtUp(run);
      expect(held(run.events, "/public.other").get('["1"]')).toEqual({ id: 1, n: 2 });
      // Published it would refuse updates: so it is no longer.
      let tries = 0;
      for (;;) {
        const refused = await all("UPDATE t SET n=30 WHERE id=1").then(
          () => false,
          () => true,
        );
        if (!refused) break;
        expect((tries += 1)).toBeLessThan(500);
        await sleep(20);
      }
      expect(held(run.events, "/public.t").has('["1"]')).toBe(true);
      await all("DELETE FROM t WHERE id=2", "ALTER TABLE t REPLICA IDENTITY DEFAULT");
      await expectRows(bench, run, "t");
      await all("DELETE FROM t WHERE id=3");
      await expectRows(bench, run, "t");
      expect(sweeps(run.events, "/public.other")).toBe(1);
    },
  );

  /** The copy stands still after its first rows, and goes on when `change` holds a lock that it waits for. */
  async function changedInCopy(bench: Bench, change: readonly string[], config: JsonObject = {}) {
    const { all, sql, start } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, n int, data text)",
      "INSERT INTO t SELECT i, i, repeat('x', 50) FROM generate_series(1, 1000) i",
    );
    const run = await start({ tables: ["t"], chunkRows: 10, ...config }, { lookEveryMs: 200 });
    await run.until((events) => held(events).size >= 20, "the first rows");
    run.pause();
    await all("BEGIN", ...change);
    run.resume();
    const waits = `SELECT 1 FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'sluice rows' AND wait_event_type = 'Lock'`;
    await eventually(async () => (await sql(waits)).length > 0, "the copy to wait");
    await all("COMMIT");
    return run;
  }

  scenario("a table that is rewritten while it is copied is copied whole", async (bench) => {
    const run = await changedInCopy(bench, ["ALTER TABLE t ALTER n TYPE text USING 'n' || n"]);
    await snapshots(run, 1);
    // Before anything is written to it, so the stream has told nothing.
    const rows = [...held(run.events, "/public.t").values()];
    expect(rows).toHaveLength(1_000);
    const first = rows.findIndex(({ n }) => typeof n === "string");
    expect(first).toBeGreaterThan(0);
    for (const { id, n } of rows.slice(first)) expect(n).toBe(`n${id as number}`);
  });

  scenario("a table whose key is rewritten while it is copied is copied anew", async (bench) => {
    const run = await changedInCopy(bench, ["ALTER TABLE t ALTER id TYPE text USING 'k' || id"]);
    await expectRows(bench, run, "t");
  });

  scenario("a table that is emptied, or made anew, while it is copied", async (bench) => {
    const run = await changedInCopy(bench, [
      "TRUNCATE t",
      "INSERT INTO t VALUES (5,5,'x'),(2000,1,'x')",
    ]);
    await expectRows(bench, run, "t");
    await bench.all(
      "DROP TABLE t",
      "CREATE TABLE t(id int PRIMARY KEY, n int, data text)",
      "INSERT INTO t VALUES (5,6,'x'),(3000,1,'x')",
    );
    await expectRows(bench, run, "t");
  });

  scenario("a table that is made anew while it is copied", async (bench) => {
    const run = await changedInCopy(bench, [
      "DROP TABLE t",
      "CREATE TABLE t(n int, id int PRIMARY KEY)",
      "INSERT INTO t SELECT i, i FROM generate_series(500, 1500) i",
    ]);
    await expectRows(bench, run, "t");
  });
});
