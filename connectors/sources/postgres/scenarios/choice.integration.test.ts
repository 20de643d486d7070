import { expect } from "vitest";
import { fakes, type SourceRun } from "sluice/testing";
import {
  eventually,
  expectRows,
  held,
  lines,
  onServers,
  rowEvents,
  snapshots,
  story,
} from "./harness.ts";

const long = "l".repeat(3_000);
const often = { lookEveryMs: 200 };

onServers((scenario) => {
  scenario(
    "where: a row that leaves is deleted, one that enters appears, in copy and stream alike",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, state text, body text)",
        "ALTER TABLE t ALTER body SET STORAGE EXTERNAL",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        `INSERT INTO t VALUES (1,'live','${long}'),(2,'draft','${long}'),(3,NULL,'${long}')`,
      );
      const run = await streaming({ tables: [{ name: "t", where: "state = 'live'" }] });
      expect([...held(run.events, "/public.t").keys()]).toEqual(['["1"]']);
      const from = run.events.length;
      await all(
        "UPDATE t SET state='live' WHERE id=2",
        "UPDATE t SET state='draft' WHERE id=1",
        "UPDATE t SET state='live' WHERE id=3",
        "UPDATE t SET state='dead' WHERE id=1",
        "UPDATE t SET id=30 WHERE id=3",
        "INSERT INTO t VALUES (4,'draft','x'),(5,'live','x')",
        "DELETE FROM t WHERE id IN (1, 4)",
      );
      await caughtUp(run);
      expect(story(run, from)).toEqual([
        `+ ["2"] {"id":2,"state":"live","body":"${long}"}`,
        '- ["1"]',
        `+ ["3"] {"id":3,"state":"live","body":"${long}"}`,
        '- ["3"]',
        `+ ["30"] {"id":30,"state":"live","body":"${long}"}`,
        '+ ["5"] {"id":5,"state":"live","body":"x"}',
      ]);
      await expectRows(bench, run, "t", { select: "SELECT * FROM t WHERE state = 'live'" });
    },
  );

  scenario("where: a row enters by its key, with a long value that was not sent", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, body text)",
      "ALTER TABLE t ALTER body SET STORAGE EXTERNAL",
      `INSERT INTO t VALUES (1,'${long}'),(-2,'${long}')`,
    );
    const run = await streaming({ tables: [{ name: "t", where: "id > 0" }] });
    const from = run.events.length;
    await all("UPDATE t SET id=2 WHERE id=-2");
    await caughtUp(run);
    await all(
      "UPDATE t SET id=-1 WHERE id=1",
      "TRUNCATE t",
      "INSERT INTO t VALUES (7,'x'),(-7,'x')",
    );
    await caughtUp(run);
    expect(story(run, from)).toEqual([
      `+ ["2"] {"id":2,"body":"${long}"}`,
      '- ["1"]',
      "x truncate",
      '+ ["7"] {"id":7,"body":"x"}',
    ]);
  });

  scenario("where: another condition at the next start reads the table again", async (bench) => {
    const { all, streaming, start } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, n int)",
      "INSERT INTO t SELECT i, i FROM generate_series(1, 9) i",
    );
    const state = fakes.state();
    const first = await streaming({ tables: [{ name: "t", where: "id > 3" }] }, { state });
    await first.stop();
    await all("UPDATE t SET n=0");
    const again = await start({ tables: [{ name: "t", where: "id < 6" }] }, { state });
    await expectRows(bench, [first, again], "t", { select: "SELECT * FROM t WHERE id < 6" });
    await all("UPDATE t SET n=1");
    await expectRows(bench, [first, again], "t", { select: "SELECT * FROM t WHERE id < 6" });
  });

  scenario("columns: only those and the key come, whatever the identity", async (bench) => {
    const { all, sql, streaming, caughtUp } = bench;
    for (const table of ["a", "b"])
      await all(
        `CREATE TABLE ${table}(secret text, id int PRIMARY KEY, body text, n int)`,
        `ALTER TABLE ${table} ALTER body SET STORAGE EXTERNAL`,
        `INSERT INTO ${table} VALUES ('s',1,'${long}',1)`,
      );
    await all("ALTER TABLE b REPLICA IDENTITY FULL");
    const run = await streaming({
      tables: ["a", "b"].map((name) => ({ name, columns: ["body", "n"] })),
    });
    for (const table of ["a", "b"]) {
      await all(
        `UPDATE ${table} SET n=2`,
        `UPDATE ${table} SET secret='t'`,
        `INSERT INTO ${table} VALUES ('s',2,'x',1)`,
        `UPDATE ${table} SET id=3 WHERE id=2`,
        `ALTER TABLE ${table} ADD COLUMN more text`,
        `UPDATE ${table} SET more='m', n=3 WHERE id=3`,
        `ALTER TABLE ${table} DROP COLUMN secret`,
        `UPDATE ${table} SET n=4 WHERE id=1`,
      );
      await expectRows(bench, run, table, { select: `SELECT id, body, n FROM ${table}` });
    }
    await caughtUp(run);
    expect(lines(run, /columns changed|read again/)).toEqual([]);
    for (const { data } of rowEvents(run))
      expect(Object.keys((data as { after?: object }).after ?? {})).not.toContain("secret");
    // Not even over the wire, where a list breaks nothing.
    expect(
      await sql(
        "SELECT tablename, attnames::text[] AS names FROM pg_publication_tables ORDER BY 1",
      ),
    ).toMatchObject([{ tablename: "a", names: ["id", "body", "n"] }, { tablename: "b" }]);
  });

  scenario("columns: others at the next start, and all of them", async (bench) => {
    const { all, streaming, start } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, a text, b text)",
      "INSERT INTO t VALUES (1,'a','b')",
    );
    const state = fakes.state();
    const runs: SourceRun[] = [];
    for (const columns of [["a"], ["b"], undefined]) {
      const config = { tables: [{ name: "t", ...(columns && { columns }) }] };
      const run: SourceRun =
        runs.length === 0 ? await streaming(config, { state }) : await start(config, { state });
      runs.push(run);
      const select = `SELECT id, ${(columns ?? ["a", "b"]).join(", ")} FROM t`;
      await expectRows(bench, runs, "t", { select });
      await all("UPDATE t SET a = a || '!', b = b || '!'");
      await expectRows(bench, runs, "t", { select });
      await run.stop();
    }
  });

  scenario(
    "insertOnly: rows come once, truncates take them, equal rows are one record",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      await all(
        "CREATE TABLE k(a int, b text)",
        "CREATE TABLE t(id int PRIMARY KEY)",
        "INSERT INTO k VALUES (1,'one'),(1,'one')",
      );
      const run = await streaming({ tables: [{ name: "k", insertOnly: true }, "t"] });
      await all(
        "INSERT INTO k VALUES (1,'one'),(2,'two')",
        "INSERT INTO t VALUES (1)",
        "UPDATE k SET b='x' WHERE a=2",
        "DELETE FROM k",
      );
      await caughtUp(run);
      expect([...held(run.events, "/public.k").values()]).toEqual([
        { a: 1, b: "one" },
        { a: 2, b: "two" },
      ]);
      expect(held(run.events, "/public.t").size).toBe(1);
      await all("TRUNCATE k", "INSERT INTO k VALUES (3,'three')");
      await caughtUp(run);
      expect([...held(run.events, "/public.k").values()]).toEqual([{ a: 3, b: "three" }]);
    },
  );

  scenario("insertOnly: a table that turns into it, and back, is read again", async (bench) => {
    const { all, streaming, start } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, n int)",
      "CREATE TABLE other(id int PRIMARY KEY)",
      "INSERT INTO t VALUES (1,1)",
    );
    const state = fakes.state();
    const runs: SourceRun[] = [];
    for (const insertOnly of [false, true, false]) {
      const config = { tables: [{ name: "t", insertOnly }, "other"] };
      const run: SourceRun =
        runs.length === 0 ? await streaming(config, { state }) : await start(config, { state });
      runs.push(run);
      await expectRows(bench, runs, "t");
      await all("INSERT INTO t SELECT max(id) + 1, 0 FROM t");
      await expectRows(bench, runs, "t");
      await run.stop();
      await all("UPDATE t SET n=n+1");
    }
  });

  scenario(
    "a key with NULLs: such rows are left out, by copy and stream, and the others are there",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      await all(
        "CREATE TABLE t(id int, code text, n int)",
        "CREATE UNIQUE INDEX ON t(code)",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "INSERT INTO t VALUES (1,NULL,1),(2,'b',1),(3,'c',1),(4,NULL,1)",
        "CREATE TABLE u(x int, y int)",
        "CREATE UNIQUE INDEX ON u(x, y)",
        "ALTER TABLE u REPLICA IDENTITY FULL",
        "INSERT INTO u VALUES (1,1),(NULL,1),(2,NULL),(3,1),(NULL,NULL)",
      );
      const run = await streaming({
        tables: [
          { name: "t", key: ["code"] },
          { name: "u", key: ["x", "y"] },
        ],
      });
      const whole = { key: ["code"], select: "SELECT * FROM t WHERE code IS NOT NULL" };
      const both = {
        key: ["x", "y"],
        select: "SELECT * FROM u WHERE x IS NOT NULL AND y IS NOT NULL",
      };
      await expectRows(bench, run, "t", whole);
      await expectRows(bench, run, "u", both);
      await all(
        "INSERT INTO t VALUES (5,NULL,1),(6,'f',1)",
        "UPDATE t SET code=NULL WHERE id=2",
        "UPDATE t SET code='a' WHERE id=1",
        "UPDATE t SET n=2",
        "DELETE FROM t WHERE id=4",
      );
      await caughtUp(run);
      await expectRows(bench, run, "t", whole);
    },
  );

  scenario("messages: those of a prefix come as records, in their place, once", async (bench) => {
    const { all, together, streaming, start, caughtUp, sql } = bench;
    await all("CREATE TABLE t(id int PRIMARY KEY)");
    const state = fakes.state();
    const config = { tables: ["t"], messages: ["outbox"] };
    const emit = (isTransactional: boolean, prefix: string, text: string) =>
      `SELECT pg_logical_emit_message(${isTransactional}, '${prefix}', '${text}')`;
    const first = await streaming(config, { state });
    const from = first.events.length;
    await together(
      emit(true, "outbox", "one"),
      "INSERT INTO t VALUES (1)",
      emit(true, "outbox.orders", "zwei ✓"),
      emit(false, "outbox", "at once"),
      emit(true, "other", "not ours"),
      "INSERT INTO t VALUES (2)",
      emit(true, "outbox", "three"),
    );
    await all(
      "BEGIN",
      emit(true, "outbox", "never"),
      emit(false, "outbox", "although rolled back"),
      "ROLLBACK",
    );
    await caughtUp(first);
    const told = (run: typeof first, at = 0) =>
      rowEvents(run, at).map(({ source, data }) => {
        const { after } = data as { after?: { text?: string; id?: number } };
        return `${source.slice(source.indexOf("/", 10) + 1)} ${after?.text ?? after?.id}`;
      });
    expect(told(first, from)).toEqual([
      "messages/outbox at once",
      "messages/outbox one",
      "public.t 1",
      "messages/outbox%2Eorders zwei ✓",
      "public.t 2",
      "messages/outbox three",
      "messages/outbox although rolled back",
    ]);
    const ids = rowEvents(first).map(({ source, id }) => `${source} ${id}`);
    expect(new Set(ids).size).toBe(ids.length);
    await first.stop();
    await all(emit(false, "outbox", "while it stood still"), emit(true, "outbox", "too"));
    await sql("SELECT pg_switch_wal()");
    const again = await start(config, { state });
    await caughtUp(again);
    expect(told(again)).toEqual(["messages/outbox while it stood still", "messages/outbox too"]);
  });

  scenario(
    "operations taken from a publication of ours come back, and what was missed is read again",
    async (bench) => {
      const { all, sql, streaming } = bench;
      await all(
        "CREATE TABLE t(id int PRIMARY KEY, n int)",
        "INSERT INTO t VALUES (1,1),(2,2),(3,3)",
      );
      const run = await streaming({ tables: ["t"] }, often);
      const [{ pubname } = {}] = await sql("SELECT pubname FROM pg_publication");
      await all(
        `ALTER PUBLICATION "${String(pubname)}" SET (publish = 'insert')`,
        "DELETE FROM t WHERE id=1",
        "UPDATE t SET n=20 WHERE id=2",
      );
      await eventually(async () => {
        const [facts] = await sql("SELECT pubupdate AND pubdelete AS is FROM pg_publication");
        return facts?.["is"] === true;
      }, "the operations to come back");
      await snapshots(run, 2);
      await expectRows(bench, run, "t");
    },
  );
});
