import { Client } from "pg";
import { expect } from "vitest";
import { eventually, expectRows, held, onServers, rowEvents, snapshots, story } from "./harness.ts";

/** Stored out of line and not compressed, so that an update that leaves it alone does not carry it. */
const long = (letter: string) => letter.repeat(2_048);

onServers((scenario) => {
  scenario("T1: a value left alone is read again, never invented", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, data text, other int)",
      "ALTER TABLE t ALTER data SET STORAGE EXTERNAL",
    );
    const run = await streaming({ tables: ["t"] });
    const from = run.events.length;
    await all(
      `INSERT INTO t VALUES (1, '${long("a")}')`,
      `UPDATE t SET data='${long("b")}'`,
      "UPDATE t SET other=72",
    );
    await caughtUp(run);
    expect(rowEvents(run, from).map(({ data }) => data)).toMatchObject([
      { op: "create", after: { id: 1, data: expect.any(String), other: null } },
      { op: "update", after: { id: 1, data: long("b"), other: null } },
      { op: "update", after: { id: 1, data: long("b"), other: 72 } },
    ]);
    await expectRows(bench, run, "t");
  });

  scenario("T2: under FULL the value comes from the old row, without a query", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, data text, other int)",
      "ALTER TABLE t ALTER data SET STORAGE EXTERNAL",
      "ALTER TABLE t REPLICA IDENTITY FULL",
      `INSERT INTO t VALUES (1, '${long("a")}')`,
    );
    const run = await streaming({ tables: ["t"] });
    const from = run.events.length;
    // A query would find the later value, or nothing.
    await bench.together(
      "UPDATE t SET other=92",
      `UPDATE t SET data='${long("b")}'`,
      "DELETE FROM t",
    );
    await caughtUp(run);
    expect(story(run, from)).toEqual([
      `+ ["1"] ${JSON.stringify({ id: 1, data: long("a"), other: 92 })}`,
      `+ ["1"] ${JSON.stringify({ id: 1, data: long("b"), other: 92 })}`,
      '- ["1"]',
    ]);
  });

  scenario("T3: a document that changes its key takes its long values along", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, doc jsonb, n int)",
      "ALTER TABLE t ALTER doc SET STORAGE EXTERNAL",
      `INSERT INTO t VALUES (1, '{"text": "${"j".repeat(3_000)}"}', 1)`,
    );
    const run = await streaming({ tables: ["t"] });
    const from = run.events.length;
    await all("UPDATE t SET n=2");
    await caughtUp(run);
    await all("UPDATE t SET id=9 WHERE id=1");
    await caughtUp(run);
    const doc = `{"text": "${"j".repeat(3_000)}"}`;
    expect(story(run, from)).toEqual([
      `+ ["1"] ${JSON.stringify({ id: 1, doc, n: 2 })}`,
      '- ["1"]',
      `+ ["9"] ${JSON.stringify({ id: 9, doc, n: 2 })}`,
    ]);
  });

  scenario("T4: changes of one row in one transaction end equal to the table", async (bench) => {
    const { all, together, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(x text, y int, a text, b text, n int, PRIMARY KEY(x, y))",
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL",
      `INSERT INTO t VALUES ('k', 1, '${long("a")}', '${long("b")}', 0), ('k', 2, '${long("c")}', '${long("d")}', 0)`,
    );
    const run = await streaming({ tables: ["t"] });
    await together(
      `UPDATE t SET a='${long("e")}' WHERE y=1`,
      "UPDATE t SET n=1 WHERE y=1",
      `UPDATE t SET b='${long("f")}' WHERE y=1`,
      "UPDATE t SET n=2 WHERE y=1",
    );
    await caughtUp(run);
    for (const event of rowEvents(run)) expect(event.data).not.toHaveProperty("unchanged");
    await expectRows(bench, run, "t");
  });

  scenario("a row deleted right after names what could not be read again", async (bench) => {
    const { all, together, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, a text, b text, n int)",
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL",
      `INSERT INTO t SELECT i, '${long("a")}', '${long("b")}', 0 FROM generate_series(1, 3) i`,
    );
    const run = await streaming({ tables: ["t"] });
    const from = run.events.length;
    await together(
      "UPDATE t SET n=1 WHERE id=1",
      "UPDATE t SET n=1 WHERE id=2",
      "DELETE FROM t WHERE id=1",
      "UPDATE t SET id=4 WHERE id=3",
      "UPDATE t SET id=5 WHERE id=4",
      "DELETE FROM t WHERE id=5",
    );
    await caughtUp(run);
    expect(story(run, from)).toEqual([
      '+ ["1"] {"id":1,"n":1} unchanged a,b',
      `+ ["2"] ${JSON.stringify({ id: 2, a: long("a"), b: long("b"), n: 1 })}`,
      '- ["1"]',
      '- ["3"]',
      '+ ["4"] {"id":4,"n":0} unchanged a,b',
      '- ["4"]',
      '+ ["5"] {"id":5,"n":0} unchanged a,b',
      '- ["5"]',
    ]);
    await expectRows(bench, run, "t");
  });

  scenario("a row between others, changed many times, with its value in between", async (bench) => {
    const { all, together, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, a text, n int)",
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL",
      `INSERT INTO t SELECT i, repeat(i::text, 3000), 0 FROM generate_series(1, 5) i`,
    );
    const run = await streaming({ tables: ["t"] });
    await together(
      "UPDATE t SET n=n+1",
      `UPDATE t SET a='short' WHERE id=2`,
      "UPDATE t SET n=n+1",
      "UPDATE t SET a=NULL WHERE id=3",
      "UPDATE t SET n=n+1",
      `UPDATE t SET a='${long("z")}' WHERE id IN (2, 3)`,
      "UPDATE t SET n=n+1 WHERE id<>4",
      "UPDATE t SET id=-id WHERE id=5",
      "INSERT INTO t VALUES (5, 'five again', 0)",
      "UPDATE t SET n=n+1",
    );
    await caughtUp(run);
    for (const event of rowEvents(run)) expect(event.data).not.toHaveProperty("unchanged");
    await expectRows(bench, run, "t");
  });

  scenario("what is read again is never older than its change", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, a text, n int)",
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL",
      `INSERT INTO t VALUES (1, '${long("a")}', 0)`,
    );
    const run = await streaming({ tables: ["t"] });
    for (let n = 1; n <= 60; n++)
      await all(`UPDATE t SET a = repeat('${n},', 2000)`, `UPDATE t SET n = ${n}`);
    await caughtUp(run);
    for (const { data } of rowEvents(run)) {
      const { a, n } = (data as { after?: { a: string; n: number } }).after ?? { a: "0", n: 0 };
      expect(Number.parseInt(a, 10) || 0).toBeGreaterThanOrEqual(n);
    }
    await expectRows(bench, run, "t");
  });

  scenario("a commit that waits for its standby is waited for", async (bench) => {
    const { all, sql, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, a text, n int)",
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL",
      `INSERT INTO t VALUES (1, '${long("a")}', 0), (2, '${long("a")}', 0)`,
      `ALTER DATABASE "${bench.database}" SET synchronous_commit = local`,
      "SET synchronous_commit = local",
    );
    const run = await streaming({ tables: ["t"] });
    const from = run.events.length;
    await all("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()");
    const writer = new Client(bench.url);
    await writer.connect();
    try {
      await writer.query("SET synchronous_commit = on");
      await writer.query(
        `BEGIN; UPDATE t SET a='${long("b")}' WHERE id=1; UPDATE t SET n=1 WHERE id=1`,
      );
      const committed = writer.query("COMMIT");
      const waits =
        "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()";
      await eventually(async () => (await sql(waits)).length === 1, "the commit to wait");
      // Decoded behind it, so it has been there.
      await all("UPDATE t SET n=1 WHERE id=2");
      const [{ sent } = {}] = await sql("SELECT pg_current_wal_flush_lsn() AS sent");
      const gone =
        "SELECT 1 FROM pg_stat_replication WHERE application_name = 'sluice rows' AND sent_lsn >= $1";
      await eventually(async () => (await sql(gone, [sent])).length === 1, "it to be sent");
      expect(await sql(`SELECT a FROM t WHERE id=1`)).toEqual([{ a: long("a") }]);
      expect(story(run, from)).toEqual([]);
      await all("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()");
      await committed;
    } finally {
      await writer.end();
      await all("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()");
    }
    await caughtUp(run);
    expect(held(run.events, "/public.t").get('["1"]')).toEqual({ id: 1, a: long("b"), n: 1 });
    await expectRows(bench, run, "t");
  });

  scenario("a table's heirs do not lend their values", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, a text, n int)",
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL",
      "CREATE TABLE heir() INHERITS (t)",
      `INSERT INTO t VALUES (1, '${long("a")}', 0)`,
      `INSERT INTO heir VALUES (1, '${long("b")}', 0), (2, '${long("c")}', 0)`,
    );
    const run = await streaming({ tables: ["t"] });
    await all("UPDATE t SET n=1");
    await caughtUp(run);
    expect([...held(run.events, "/public.t")]).toEqual([['["1"]', { id: 1, a: long("a"), n: 1 }]]);
  });

  scenario("a column dropped meanwhile takes no other value along", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, a text, b text, n int)",
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL",
      `INSERT INTO t VALUES (1, '${long("a")}', '${long("b")}', 0)`,
    );
    const run = await streaming({ tables: ["t"] });
    const from = run.events.length;
    await bench.together("UPDATE t SET n=1", "ALTER TABLE t DROP COLUMN b");
    await caughtUp(run);
    expect(story(run, from)).toEqual([
      `+ ["1"] ${JSON.stringify({ id: 1, a: long("a"), n: 1 })} unchanged b`,
    ]);
  });

  scenario("a key of another type meanwhile does not stop the stream", async (bench) => {
    const { all, together, streaming, caughtUp } = bench;
    await all(
      "CREATE TABLE t(id int PRIMARY KEY, a text, n int)",
      "ALTER TABLE t ALTER a SET STORAGE EXTERNAL",
      `INSERT INTO t VALUES (1, '${long("a")}', 0)`,
    );
    const run = await streaming({ tables: ["t"] });
    await together("UPDATE t SET n=1", "ALTER TABLE t ALTER id TYPE text USING 'k' || id");
    await all("UPDATE t SET n=2");
    await snapshots(run, 2);
    await caughtUp(run);
    await expectRows(bench, run, "t");
  });

  scenario("keys that are long themselves come whole", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    const key = "k".repeat(2_300);
    await all(
      "CREATE TABLE t(id text PRIMARY KEY, n int)",
      "ALTER TABLE t ALTER id SET STORAGE EXTERNAL",
      `INSERT INTO t VALUES ('${key}', 0)`,
    );
    const run = await streaming({ tables: ["t"] });
    await all("UPDATE t SET n=1");
    await caughtUp(run);
    await expectRows(bench, run, "t");
    await all(`UPDATE t SET id=id || 'x'`, "UPDATE t SET n=2");
    await caughtUp(run);
    await expectRows(bench, run, "t");
    await all("DELETE FROM t");
    await caughtUp(run);
    await expectRows(bench, run, "t");
  });
});
