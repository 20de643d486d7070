import { expect } from "vitest";
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
} from "./harness.ts";

const often = { lookEveryMs: 200 };

onServers((scenario) => {
  scenario(
    "D6: a table added to a publication of others is copied, one taken out stays as it was",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      await all(
        "CREATE TABLE a(id int PRIMARY KEY, n int)",
        "INSERT INTO a VALUES (1,1),(2,2)",
        "CREATE PUBLICATION theirs FOR TABLE a",
        "SELECT pg_create_logical_replication_slot('by_hand_' || current_database(), 'pgoutput')",
      );
      const run = await streaming(
        {
          tables: ["*"],
          setup: false,
          publication: "theirs",
          slot: `by_hand_${bench.database}`,
          onTableDropped: "remove",
        },
        often,
      );
      await all(
        "CREATE TABLE b(id int PRIMARY KEY, n int)",
        "INSERT INTO b SELECT i, i FROM generate_series(1, 100) i",
        "UPDATE a SET n=10 WHERE id=1",
      );
      // Not published yet: what is copied now would miss what happens until it is.
      await eventually(() => lines(run, /waits/).length === 1, "a warning about b");
      expect(lines(run, /waits/)).toMatchObject([
        { table: "public.b", fix: 'Run: ALTER PUBLICATION "theirs" ADD TABLE ONLY "public"."b";' },
      ]);
      await all("UPDATE b SET n=-1 WHERE id=1", "ALTER PUBLICATION theirs ADD TABLE b");
      await all("UPDATE b SET n=-2 WHERE id=2", "DELETE FROM b WHERE id=3");
      await expectRows(bench, run, "b");
      await expectRows(bench, run, "a");

      await all(
        "ALTER PUBLICATION theirs DROP TABLE a",
        "UPDATE a SET n=11 WHERE id=1",
        "DELETE FROM a WHERE id=2",
      );
      await eventually(() => lines(run, /table stops/).length === 1, "a warning about a");
      expect(lines(run, /table stops/)).toMatchObject([{ table: "public.a" }]);
      await caughtUp(run);
      expect(Object.fromEntries(held(run.events, "/public.a"))).toEqual({
        '["1"]': { id: 1, n: 10 },
        '["2"]': { id: 2, n: 2 },
      });
      await all("ALTER PUBLICATION theirs ADD TABLE a");
      await expectRows(bench, run, "a");
    },
  );

  scenario(
    "a table taken out of a publication and put back while the source stood still is read again",
    async (bench) => {
      const { all, streaming, start } = bench;
      await all(
        "CREATE TABLE a(id int PRIMARY KEY, n int)",
        "INSERT INTO a VALUES (1,1),(2,2)",
        "CREATE PUBLICATION theirs FOR TABLE a",
      );
      const state = fakes.state();
      const config = { tables: ["a"], publication: "theirs" };
      const first = await streaming(config, { state });
      await first.stop();
      await all(
        "ALTER PUBLICATION theirs DROP TABLE a",
        "UPDATE a SET n=11 WHERE id=1",
        "DELETE FROM a WHERE id=2",
        "ALTER PUBLICATION theirs ADD TABLE a",
      );
      const again = await start(config, { state });
      await expectRows(bench, [first, again], "a");
    },
  );

  scenario(
    "tables created later under a pattern are captured from their first row",
    async (bench) => {
      const { all, streaming } = bench;
      await all("CREATE TABLE log_1(id int PRIMARY KEY, n int)", "INSERT INTO log_1 VALUES (1,1)");
      const run = await streaming({ tables: ["log_*"] }, often);
      await all(
        "CREATE TABLE log_2(id int PRIMARY KEY, n int)",
        "INSERT INTO log_2 VALUES (1,1),(2,2)",
        "CREATE TABLE other(id int PRIMARY KEY)",
        "CREATE TABLE log_none(id int)",
      );
      await snapshots(run, 2);
      await all("INSERT INTO log_2 VALUES (3,3)", "UPDATE log_2 SET n=5 WHERE id=1");
      await expectRows(bench, run, "log_2");
      expect(sweeps(run.events, "/public.log_1")).toBe(1);
    },
  );

  scenario("looking often copies nothing twice", async (bench) => {
    const { all, start, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, data text)",
      "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i",
    );
    const run = await start({ tables: ["t"], chunkRows: 10 }, { lookEveryMs: 20 });
    await snapshots(run, 1);
    await caughtUp(run);
    const looked = async () =>
      (await bench.sql("SELECT query FROM pg_stat_activity WHERE application_name = 'sluice rows'"))
        .length;
    expect(await looked()).toBeGreaterThan(0);
    await all("INSERT INTO t VALUES (0, '')");
    await caughtUp(run);
    expect(lines(run, "snapshot begins")).toHaveLength(1);
    expect(sweeps(run.events)).toBe(1);
  });

  for (const kind of ["managed", "for all tables"] as const)
    scenario(
      `dropped and created again while the source runs: only new rows (${kind})`,
      async (bench) => {
        const { all, streaming, caughtUp } = bench;
        await all(
          "CREATE TABLE t(id int PRIMARY KEY, data text)",
          "INSERT INTO t VALUES (1,'one'),(2,'two')",
        );
        if (kind !== "managed") await all("CREATE PUBLICATION theirs FOR ALL TABLES");
        const run = await streaming(
          { tables: ["t"], ...(kind !== "managed" && { publication: "theirs" }) },
          often,
        );
        await all(
          "UPDATE t SET data='uno' WHERE id=1",
          "DROP TABLE t",
          "CREATE TABLE t(id int PRIMARY KEY, data text)",
          "INSERT INTO t VALUES (2,'zwei'),(3,'drei')",
        );
        await expectRows(bench, run, "t");
        await all("INSERT INTO t VALUES (4,'vier')", "DELETE FROM t WHERE id=3");
        await caughtUp(run);
        await expectRows(bench, run, "t");
      },
    );

  for (const kind of ["managed", "for all tables"] as const)
    scenario(
      `dropped and created again while the source stood still: only new rows (${kind})`,
      async (bench) => {
        const { all, streaming, start } = bench;
        for (const table of ["t", "quiet", "gone"])
          await all(
            `CREATE TABLE ${table}(id int PRIMARY KEY, data text)`,
            `INSERT INTO ${table} VALUES (1,'one'),(2,'two')`,
          );
        if (kind !== "managed") await all("CREATE PUBLICATION theirs FOR ALL TABLES");
        const state = fakes.state();
        const config = {
          tables: ["t", "quiet", "g*"],
          ...(kind !== "managed" && { publication: "theirs" }),
        };
        const first = await streaming(config, { state });
        await first.stop();
        await all(
          "UPDATE t SET data='uno' WHERE id=1",
          "DROP TABLE t, quiet, gone",
          "CREATE TABLE t(id int PRIMARY KEY, data text)",
          "INSERT INTO t VALUES (2,'zwei'),(3,'drei')",
          "CREATE TABLE quiet(id int PRIMARY KEY, data text)",
        );
        const again = await start(config, { state, ...often });
        for (const table of ["t", "quiet"]) await expectRows(bench, [first, again], table);
        await all("INSERT INTO t VALUES (4,'vier')", "DELETE FROM t WHERE id=3");
        for (const table of ["t", "quiet"]) await expectRows(bench, [first, again], table);
        await eventually(
          () => lines(again, /captured table is gone/).length === 1,
          "a warning about gone",
        );
        expect(held([...first.events, ...again.events], "/public.gone").size).toBe(2);
      },
    );

  scenario("a table that is gone: its records go if the user wants it", async (bench) => {
    const { all, streaming } = bench;
    await all(
      "CREATE TABLE a(id int PRIMARY KEY)",
      "INSERT INTO a VALUES (1)",
      'CREATE SCHEMA "x.y"',
      'CREATE TABLE "x.y"."a.""b"(id int PRIMARY KEY)',
      'INSERT INTO "x.y"."a.""b" VALUES (1)',
    );
    const run = await streaming({ tables: ["a", '"x.y".*'], onTableDropped: "remove" }, often);
    expect(held(run.events, "/public.a").size).toBe(1);
    expect(held(run.events, "/x%2Ey.a%2E%22b").size).toBe(1);
    await all('DROP TABLE "x.y"."a.""b"');
    await run.until(
      (events) => story({ events }).some((line) => line.endsWith("x drop")),
      "the clear",
    );
    expect(story(run).filter((line) => line.endsWith("x drop"))).toEqual(["x%2Ey.a%2E%22b x drop"]);
    expect(held(run.events, "/x%2Ey.a%2E%22b").size).toBe(0);
    await all(
      'CREATE TABLE "x.y"."a.""b"(id int PRIMARY KEY)',
      'INSERT INTO "x.y"."a.""b" VALUES (2)',
    );
    await expectRows(bench, run, '"x.y"."a.""b"', { source: "/x%2Ey.a%2E%22b" });
    expect(held(run.events, "/public.a").size).toBe(1);
  });

  scenario(
    "a table whose name leaves what is captured: it stops, and its records stay",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      await all(
        "CREATE TABLE t_1(id int PRIMARY KEY, n int)",
        "INSERT INTO t_1 VALUES (1,1),(2,2)",
        "CREATE PUBLICATION theirs FOR ALL TABLES",
      );
      const run = await streaming({ tables: ["t_*"], publication: "theirs" }, often);
      await all(
        "UPDATE t_1 SET n=2 WHERE id=1",
        "ALTER TABLE t_1 RENAME TO hidden",
        "UPDATE hidden SET n=3 WHERE id=1",
        "DELETE FROM hidden WHERE id=2",
      );
      await caughtUp(run);
      expect(Object.fromEntries(held(run.events, "/public.t_1"))).toEqual({
        '["1"]': { id: 1, n: 2 },
        '["2"]': { id: 2, n: 2 },
      });
      expect(held(run.events, "/public.hidden").size).toBe(0);
      await eventually(() => lines(run, /captured table is gone/).length === 1, "a warning");
      // What happened under the other name was not seen.
      await all("ALTER TABLE hidden RENAME TO t_1");
      await expectRows(bench, run, "t_1");
      await all("UPDATE t_1 SET n=4");
      await expectRows(bench, run, "t_1");
    },
  );

  scenario(
    "out of the captured names and back between two looks is noticed in the stream",
    async (bench) => {
      const { all, streaming } = bench;
      await all(
        "CREATE TABLE t_1(id int PRIMARY KEY, n int)",
        "INSERT INTO t_1 VALUES (1,1),(2,2)",
        "CREATE PUBLICATION theirs FOR ALL TABLES",
      );
      const run = await streaming({ tables: ["t_*"], publication: "theirs" });
      await all(
        "UPDATE t_1 SET n=2 WHERE id=1",
        "ALTER TABLE t_1 RENAME TO hidden",
        "DELETE FROM hidden WHERE id=2",
        "ALTER TABLE hidden RENAME TO t_1",
        "UPDATE t_1 SET n=4",
      );
      await expectRows(bench, run, "t_1");
    },
  );

  scenario(
    "a table whose name comes into what is captured is copied and followed",
    async (bench) => {
      const { all, streaming } = bench;
      await all(
        "CREATE TABLE t_1(id int PRIMARY KEY, n int)",
        "CREATE TABLE hidden(id int PRIMARY KEY, n int)",
        "INSERT INTO hidden VALUES (1,1),(2,2)",
        "CREATE PUBLICATION theirs FOR ALL TABLES",
      );
      const run = await streaming({ tables: ["t_*"], publication: "theirs" }, often);
      // The stream knows it as one that is not captured.
      await all(
        "UPDATE hidden SET n=2 WHERE id=1",
        "ALTER TABLE hidden RENAME TO t_2",
        "DELETE FROM t_2 WHERE id=2",
      );
      await expectRows(bench, run, "t_2");
      await all("UPDATE t_2 SET n=5", "INSERT INTO t_2 VALUES (3,3)");
      await expectRows(bench, run, "t_2");
    },
  );

  scenario("a table renamed among the captured ones goes on under its new name", async (bench) => {
    const { all, streaming } = bench;
    await all("CREATE TABLE t_1(id int PRIMARY KEY, n int)", "INSERT INTO t_1 VALUES (1,1),(2,2)");
    const run = await streaming({ tables: ["t_*"], onTableDropped: "remove" }, often);
    await all(
      "UPDATE t_1 SET n=2 WHERE id=1",
      "ALTER TABLE t_1 RENAME TO t_2",
      "UPDATE t_2 SET n=3 WHERE id=1",
    );
    await expectRows(bench, run, "t_2");
    await eventually(
      () => held(run.events, "/public.t_1").size === 0,
      "the old name's records to go",
    );
    await all("DELETE FROM t_2 WHERE id=2");
    await expectRows(bench, run, "t_2");
  });

  scenario("two tables that swap names are both read again", async (bench) => {
    const { all, together, streaming } = bench;
    await all(
      "CREATE TABLE live(id int PRIMARY KEY, n int)",
      "INSERT INTO live VALUES (1,1),(2,2)",
      "CREATE TABLE next(id int PRIMARY KEY, n int)",
      "INSERT INTO next VALUES (2,20),(3,30)",
    );
    const run = await streaming({ tables: ["live"] }, often);
    await all("UPDATE live SET n=2 WHERE id=1");
    await together("ALTER TABLE live RENAME TO old", "ALTER TABLE next RENAME TO live");
    await all("UPDATE live SET n=21 WHERE id=2", "UPDATE old SET n=5");
    await expectRows(bench, run, "live");
    await all("DELETE FROM live WHERE id=3");
    await expectRows(bench, run, "live");
  });

  scenario(
    "a column published without having been listed in the catalog query's time is no trouble",
    async (bench) => {
      const { all, streaming, start } = bench;
      await all("CREATE TABLE t(id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1,1)");
      const state = fakes.state();
      const first = await streaming({ tables: ["t"] }, { state });
      await first.stop();
      await all(
        "ALTER TABLE t ADD COLUMN brief text",
        "INSERT INTO t VALUES (2,2,'b')",
        "ALTER TABLE t DROP COLUMN brief",
        "INSERT INTO t VALUES (3,3)",
      );
      const again = await start({ tables: ["t"] }, { state });
      await again.until((events) => held(events).has('["3"]'), "the row 3");
      expect(story(again)).toEqual([
        '+ ["2"] {"id":2,"n":2,"brief":"b"}',
        '+ ["3"] {"id":3,"n":3}',
      ]);
    },
  );

  scenario("odd names everywhere", async (bench) => {
    const { all, sql, streaming, caughtUp } = bench;
    const schemas = ["a.b", "a", 'say "hi"', "ünï", "%_*", "Public", "UPPER lower"];
    const columns = [
      "a.b",
      "Name",
      'say "hi"',
      "__proto__",
      "constructor",
      "ünï 🎉",
      "'; --",
      "$1",
      "n",
      "k0",
    ];
    const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;
    const places = schemas.flatMap((schema) =>
      ["b.c", "c", "a*b", 'Odd "'].map((table) => [schema, table] as const),
    );
    for (const schema of schemas) await all(`CREATE SCHEMA ${quote(schema)}`);
    const list = columns.map((name) => `${quote(name)} text`).join(", ");
    for (const [at, [schema, table]] of places.entries()) {
      const name = `${quote(schema)}.${quote(table)}`;
      await all(
        `CREATE TABLE ${name}(${quote("Key, 1")} text, ${list}, PRIMARY KEY(${quote("Key, 1")}, ${quote("__proto__")}))`,
        `ALTER TABLE ${name} ALTER ${quote("a.b")} SET STORAGE EXTERNAL`,
        `INSERT INTO ${name} VALUES ('copied', ${columns.map((_, n) => `'${at} ${n}'`).join(", ")})`,
        `UPDATE ${name} SET ${quote("a.b")} = repeat('${at} ', 2000)`,
      );
    }
    const run = await streaming({ tables: schemas.map((schema) => `${quote(schema)}.*`) }, often);
    for (const [schema, table] of places) {
      const name = `${quote(schema)}.${quote(table)}`;
      await all(
        `INSERT INTO ${name} SELECT 'streamed', ${columns.map(quote).join(", ")} FROM ${name}`,
        `UPDATE ${name} SET ${quote("Name")} = 'changed' WHERE ${quote("Key, 1")} = 'streamed'`,
      );
    }
    await caughtUp(run);
    const events = rowEvents(run);
    expect(new Set(events.map(({ source }) => source)).size).toBe(places.length);
    for (const [schema, table] of places) {
      const source = `/${[schema, table].map((name) => encodeURIComponent(name).replaceAll(".", "%2E")).join(".")}`;
      const rows = await sql(`SELECT * FROM ${quote(schema)}.${quote(table)} ORDER BY 1`);
      const records = [...held(run.events, source).values()];
      expect(records.map((after) => new Map(Object.entries(after)))).toEqual(
        rows.map((row) => new Map(Object.entries(row))),
      );
      const keys = events
        .filter((event) => event.source.endsWith(source) && event.type.endsWith("upserted"))
        .map(({ data }) => Object.keys((data as { key: object }).key).join(" "));
      expect(new Set(keys)).toEqual(new Set(["Key, 1 __proto__"]));
    }
    expect(events.filter((event) => "unchanged" in (event.data as object))).toEqual([]);
    // Each is dropped and made anew by itself.
    await all(
      'DROP TABLE "a"."b.c"',
      'CREATE TABLE "a"."b.c"(id int PRIMARY KEY)',
      'INSERT INTO "a"."b.c" VALUES (1)',
    );
    await expectRows(bench, run, '"a"."b.c"', { source: "/a.b%2Ec" });
    expect(held(run.events, "/a%2Eb.c").size).toBe(2);
  });

  scenario(
    "a table that only grows, added later, does not stop a stream of older log",
    async (bench) => {
      const { all, streaming, start } = bench;
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, n int)",
        "CREATE TABLE k(a int)",
        "INSERT INTO t VALUES (1,1)",
      );
      const state = fakes.state();
      const first = await streaming({ tables: ["t"] }, { state });
      await first.stop();
      await all("UPDATE t SET n=2");
      const again = await start({ tables: ["t", { name: "k", insertOnly: true }] }, { state });
      await all("INSERT INTO k VALUES (7)");
      await again.until((events) => held(events, "/public.k").size === 1, "the row of k");
      await expectRows(bench, [first, again], "t");
    },
  );
});
