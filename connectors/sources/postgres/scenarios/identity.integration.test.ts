import { expect } from "vitest";
import { fakes } from "sluice/testing";
import { expectRows, held, onServers, rowEvents, snapshots, story } from "./harness.ts";

onServers((scenario) => {
  scenario(
    "I1: deletes, updates and a change of identity arrive as they are",
    async ({ all, streaming, caughtUp }) => {
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, data text)",
        "INSERT INTO t VALUES (0,'Zero'),(1,'One'),(2,'Two'),(3,'Three'),(4,'Four')",
      );
      const run = await streaming({ tables: ["t"] });
      expect(held(run.events, "/public.t").size).toBe(5);
      const from = run.events.length;
      await all(
        "DELETE FROM t WHERE id=1",
        "UPDATE t SET data='UPDATED' WHERE id=2",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "DELETE FROM t WHERE id=3",
        "UPDATE t SET data='U4' WHERE id=4",
      );
      await caughtUp(run);
      expect(story(run, from)).toEqual([
        '- ["1"]',
        '+ ["2"] {"id":2,"data":"UPDATED"}',
        '- ["3"]',
        '+ ["4"] {"id":4,"data":"U4"}',
      ]);
      expect([...held(run.events, "/public.t")]).toEqual([
        ['["0"]', { id: 0, data: "Zero" }],
        ['["2"]', { id: 2, data: "UPDATED" }],
        ['["4"]', { id: 4, data: "U4" }],
      ]);
    },
  );

  scenario(
    "I2: a changed key is the delete of the old record and then the new one, under both identities",
    async ({ all, streaming, caughtUp }) => {
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, data text)",
        "INSERT INTO t VALUES (1,'one'),(2,'two')",
      );
      const run = await streaming({ tables: ["t"] });
      const from = run.events.length;
      await all(
        "UPDATE t SET id=5 WHERE id=1",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "UPDATE t SET id=6 WHERE id=2",
      );
      await caughtUp(run);
      expect(story(run, from)).toEqual([
        '- ["1"]',
        '+ ["5"] {"id":5,"data":"one"}',
        '- ["2"]',
        '+ ["6"] {"id":6,"data":"two"}',
      ]);
      const ids = rowEvents(run).map(({ source, id }) => `${source} ${id}`);
      expect(new Set(ids).size).toBe(ids.length);
    },
  );

  scenario(
    "I2: keys that are swapped and rotated inside a transaction end with their rows",
    async (bench) => {
      const { all, together, streaming, caughtUp } = bench;
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, data text)",
        "INSERT INTO t VALUES (1,'one'),(2,'two'),(3,'three')",
        // Under FULL a deferrable key may swap in one statement.
        "CREATE TABLE u(id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, data text)",
        "ALTER TABLE u REPLICA IDENTITY FULL",
        "INSERT INTO u VALUES (1,'one'),(2,'two'),(3,'three')",
      );
      const run = await streaming({ tables: ["t", { name: "u", key: ["id"] }] });
      const from = run.events.length;
      await together(
        "UPDATE t SET id=-1 WHERE id=1",
        "UPDATE t SET id=1 WHERE id=2",
        "UPDATE t SET id=2 WHERE id=3",
        "UPDATE t SET id=3 WHERE id=-1",
      );
      await caughtUp(run);
      expect(story(run, from)).toEqual([
        '- ["1"]',
        '+ ["-1"] {"id":-1,"data":"one"}',
        '- ["2"]',
        '+ ["1"] {"id":1,"data":"two"}',
        '- ["3"]',
        '+ ["2"] {"id":2,"data":"three"}',
        '- ["-1"]',
        '+ ["3"] {"id":3,"data":"one"}',
      ]);
      await all("UPDATE u SET id = CASE id WHEN 1 THEN 2 WHEN 2 THEN 3 ELSE 1 END");
      // The stream tells that 2 came, and then that it went.
      await snapshots(run, 2);
      await together("INSERT INTO u VALUES (1,'new')", "DELETE FROM u WHERE id=1 AND data<>'new'");
      await snapshots(run, 3);
      for (const table of ["t", "u"]) await expectRows(bench, run, table);
      await together("UPDATE u SET id=id+10", "UPDATE u SET data='x'", "DELETE FROM u WHERE id=12");
      await expectRows(bench, run, "u");
    },
  );

  scenario(
    "I3: each key in order, what came and went in one transaction is gone, also after redelivery",
    async ({ all, together, streaming, start, caughtUp }) => {
      await all("CREATE TABLE t(id int PRIMARY KEY, data text)", "INSERT INTO t VALUES (1,'one')");
      const state = fakes.state();
      const first = await streaming({ tables: ["t"] }, { state });
      await first.stop();
      await all(
        "INSERT INTO t VALUES (1000,'a'),(1001,'b'),(1002,'c')",
        "UPDATE t SET data = data || '!' WHERE id IN (1, 1002)",
      );
      await together("INSERT INTO t VALUES (1003,'d')", "DELETE FROM t WHERE id=1003");
      // Published, and its checkpoint never stored.
      const killed = await start(
        { tables: ["t"] },
        { state, killWhen: (events) => events.some(({ subject }) => subject === '["1003"]') },
      );
      await killed.ended;
      const again = await start({ tables: ["t"] }, { state });
      await caughtUp(again);
      const wanted = [
        '+ ["1000"] {"id":1000,"data":"a"}',
        '+ ["1001"] {"id":1001,"data":"b"}',
        '+ ["1002"] {"id":1002,"data":"c"}',
        '+ ["1"] {"id":1,"data":"one!"}',
        '+ ["1002"] {"id":1002,"data":"c!"}',
        '+ ["1003"] {"id":1003,"data":"d"}',
        '- ["1003"]',
      ];
      // What comes twice has the same ids, and nothing is between.
      const [before, after] = [rowEvents(killed), rowEvents(again)];
      const twice = before.filter(({ id }) => after.some((event) => event.id === id));
      expect(twice.length).toBeGreaterThan(0);
      expect(after.slice(0, twice.length).map(({ id }) => id)).toEqual(twice.map(({ id }) => id));
      expect([...story(killed), ...story(again).slice(twice.length)]).toEqual(wanted);
      expect([...held([...first.events, ...killed.events, ...again.events], "/public.t")]).toEqual([
        ['["1"]', { id: 1, data: "one!" }],
        ['["1000"]', { id: 1000, data: "a" }],
        ['["1001"]', { id: 1001, data: "b" }],
        ['["1002"]', { id: 1002, data: "c!" }],
      ]);
    },
  );

  scenario(
    "I4: FULL gives the same events as the default identity",
    async ({ all, streaming, caughtUp }) => {
      await all(
        "CREATE TABLE a(id int PRIMARY KEY, data text)",
        "CREATE TABLE b(id int PRIMARY KEY, data text)",
        "INSERT INTO a VALUES (1,'one'),(2,'two')",
        "INSERT INTO b VALUES (1,'one'),(2,'two')",
        "ALTER TABLE b REPLICA IDENTITY FULL",
      );
      const run = await streaming({ tables: ["a", "b"] });
      const from = run.events.length;
      for (const table of ["a", "b"])
        await all(
          `UPDATE ${table} SET data='x'`,
          `UPDATE ${table} SET data='x'`,
          `DELETE FROM ${table} WHERE id=2`,
        );
      await caughtUp(run);
      const told = story(run, from);
      const of = (table: string) =>
        told.filter((line) => line.startsWith(`public.${table} `)).map((line) => line.slice(9));
      expect(of("a")).toEqual([
        '+ ["1"] {"id":1,"data":"x"}',
        '+ ["2"] {"id":2,"data":"x"}',
        '+ ["1"] {"id":1,"data":"x"}',
        '+ ["2"] {"id":2,"data":"x"}',
        '- ["2"]',
      ]);
      expect(of("b")).toEqual(of("a"));
    },
  );

  scenario(
    "I5: tables without an identity are refused before a publication breaks their updates",
    async ({ all, sql, start }) => {
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, data text)",
        "ALTER TABLE t REPLICA IDENTITY NOTHING",
        "CREATE TABLE k(a int, b text)",
        "INSERT INTO t VALUES (1,'one'),(2,'two')",
        "INSERT INTO k VALUES (1,'one'),(2,'two')",
      );
      const run = await start({ tables: ["t", "k"] });
      await expect(run.ended).rejects.toMatchObject({
        code: "postgres.no-key",
        message: expect.stringMatching(/public\.k .*public\.t /),
        fix: expect.stringMatching(
          /ALTER TABLE "public"\."k" ADD COLUMN .*\n.*ALTER TABLE "public"\."t" REPLICA IDENTITY DEFAULT;/,
        ),
      });
      expect(await sql("SELECT * FROM pg_publication")).toEqual([]);
      expect(
        await sql("SELECT * FROM pg_replication_slots WHERE database = current_database()"),
      ).toEqual([]);
      for (const [table, key] of [
        ["t", "id"],
        ["k", "a"],
      ])
        await all(`UPDATE ${table} SET ${key} = 3 WHERE ${key} = 1`, `DELETE FROM ${table}`);
    },
  );

  scenario(
    "I6: a table that only grows has a record a row, the same after a restart, and keeps its updates",
    async ({ all, sql, start, streaming, caughtUp }) => {
      await all("CREATE TABLE k(a int, b text)", "INSERT INTO k VALUES (1,'one'),(2,'two')");
      const state = fakes.state();
      const config = { tables: [{ name: "k", insertOnly: true }] };
      const first = await streaming(config, { state });
      await all("INSERT INTO k VALUES (3,'three'),(4,NULL)");
      await caughtUp(first);
      const records = held(first.events, "/public.k");
      expect([...records.values()]).toEqual([
        { a: 1, b: "one" },
        { a: 2, b: "two" },
        { a: 3, b: "three" },
        { a: 4, b: null },
      ]);
      expect(new Set(records.keys()).size).toBe(4);
      await all("UPDATE k SET b='zwei' WHERE a=2", "DELETE FROM k WHERE a=2");
      expect(await sql("SELECT count(*)::int AS n FROM k")).toEqual([{ n: 3 }]);
      await first.stop();
      const again = await start(config, { state });
      await again.request({ id: "again" });
      await snapshots(again, 1);
      await caughtUp(again);
      const kept = held([...first.events, ...again.events], "/public.k");
      expect([...kept.keys()].toSorted()).toEqual(
        [...records].flatMap(([key, { a }]) => (a === 2 ? [] : [key])).toSorted(),
      );
    },
  );

  scenario(
    "I7: a key of two columns under FULL, one of them captured for the key only",
    async ({ all, streaming, caughtUp }) => {
      await all(
        "CREATE TABLE t(tenant text, id int, data text, n int, PRIMARY KEY(tenant, id))",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "INSERT INTO t VALUES ('x',1,'one',0),('y',1,'other',0),('x',2,'two',0)",
      );
      const run = await streaming({ tables: [{ name: "t", columns: ["id", "data"] }] });
      const from = run.events.length;
      await all(
        "UPDATE t SET data='new' WHERE tenant='x' AND id=1",
        "UPDATE t SET n=1 WHERE tenant='y'",
        "UPDATE t SET tenant='z' WHERE tenant='x' AND id=1",
        "DELETE FROM t WHERE tenant='x' AND id=2",
      );
      await caughtUp(run);
      expect(story(run, from)).toEqual([
        '+ ["x","1"] {"tenant":"x","id":1,"data":"new"}',
        '+ ["y","1"] {"tenant":"y","id":1,"data":"other"}',
        '- ["x","1"]',
        '+ ["z","1"] {"tenant":"z","id":1,"data":"new"}',
        '- ["x","2"]',
      ]);
      expect([...held(run.events, "/public.t").keys()]).toEqual(['["y","1"]', '["z","1"]']);
    },
  );
});
