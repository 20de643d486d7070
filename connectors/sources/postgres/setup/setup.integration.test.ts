import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { createSlot } from "./create-slot.ts";
import { codes, openDatabase, optionsOf, silent, type Database } from "./harness.ts";
import { fakes } from "sluice/testing";
import { namesOf } from "./names.ts";
import { check } from "./preflight.ts";
import { remove } from "./remove.ts";
import { openSession } from "../session.ts";
import { prepare } from "./setup.ts";
import { readOrigin } from "./slot.ts";
import { walBudget } from "./wal-budget.ts";
import { openReplication } from "../wire/replication.ts";

const signal = new AbortController().signal;
const run = { name: "articles", signal, project: "sluice", state: fakes.state().state };
const names = namesOf({}, { name: "articles", project: "sluice" });

describe.each([15, 18] as const)("setup and remove on PostgreSQL %i", (version) => {
  let server: PostgresServer;
  let db: Database;
  beforeAll(async () => {
    server = await startPostgres({ version, settings: { max_slot_wal_keep_size: "1GB" } });
    db = await openDatabase((await server.createDatabase("shop")).url);
  });
  afterAll(async () => {
    await db?.close();
    await server?.stop();
  });
  beforeEach(() =>
    db.run(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots",
      "DROP SCHEMA public CASCADE",
      "CREATE SCHEMA public",
      'DROP PUBLICATION IF EXISTS sluice_articles, "sluice_articles-inserts"',
    ),
  );
  const prepared = (tables: readonly unknown[], more: Readonly<Record<string, unknown>> = {}) =>
    prepare(db.session, optionsOf(db.url, tables, more), names, silent);
  const removed = (more: Readonly<Record<string, unknown>> = {}) =>
    remove({ ...run, config: optionsOf(db.url, ["a"], more) });
  const things = () =>
    db.run(
      "SELECT pubname::text AS name FROM pg_publication UNION ALL SELECT slot_name FROM pg_replication_slots ORDER BY 1",
    );
  const makeSlot = async () => {
    const replication = await openReplication({ url: db.url }, run);
    await createSlot(replication, db.session, {
      slot: names.slot,
      failover: false,
      log: silent,
      signal,
    });
    await replication.close();
  };

  it("prepares, finds everything prepared, and takes it away again", async () => {
    await db.run("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE log (x text)");
    const tables = ["a", { name: "log", insertOnly: true }];
    const first = await prepared(tables);
    expect(first.publications).toEqual(["sluice_articles", "sluice_articles-inserts"]);
    expect(first.changed.map(({ name }) => name)).toEqual(["a", "log"]);
    expect((await prepared(tables)).changed).toEqual([]);
    expect((await prepared(tables, { setup: false })).tables.length).toBe(2);
    await makeSlot();
    expect(codes(await removed())).toEqual(["ok removed", "ok removed", "ok removed"]);
    expect(await things()).toEqual([]);
    expect(codes(await removed())).toEqual(["ok removed"]);
  });

  it("takes away nothing that it did not make", async () => {
    await db.run(
      "CREATE TABLE a (id int PRIMARY KEY)",
      "CREATE PUBLICATION sluice_articles FOR TABLE a",
    );
    await prepared(["a"]);
    await makeSlot();
    expect(codes(await removed({ setup: false }))).toEqual(["warning kept", "warning kept"]);
    expect(codes(await removed())).toEqual(["warning kept", "warning kept"]);
    expect((await things()).length).toBe(2);
    // The slot by its own notes, though the publication is another's.
    await run.state.each([{ key: "slot", value: names.slot }]);
    expect(codes(await removed())).toEqual(["ok removed", "warning kept"]);
    expect(await things()).toEqual([{ name: "sluice_articles" }]);
    await run.state.each([{ key: "slot", value: undefined }]);
  });

  it("takes away no slot of that name that is for something else", async () => {
    await db.run("SELECT pg_create_physical_replication_slot('sluice_articles')");
    expect(codes(await removed())).toEqual(["warning kept"]);
    expect(await things()).toEqual([{ name: "sluice_articles" }]);
  });

  it("does not take a slot away from who streams, and names the process", async () => {
    await db.run("CREATE TABLE a (id int PRIMARY KEY)");
    await prepared(["a"]);
    await makeSlot();
    const replication = await openReplication({ url: db.url }, run);
    const stream = await replication.start({
      slot: names.slot,
      from: 0n,
      publication: names.publication,
      confirmed: () => 0n,
      signal,
    });
    const findings = await removed();
    expect(codes(findings)).toEqual(["error slot-busy"]);
    expect(findings[0]?.message).toContain(`process ${replication.pid}`);
    await stream.close();
    await expect.poll(async () => codes(await removed())).toEqual(["ok removed", "ok removed"]);
  });

  it("refuses with everything at once, before a publication touches anything", async () => {
    await db.run(
      "CREATE TABLE t (id int PRIMARY KEY, x text)",
      "ALTER TABLE t REPLICA IDENTITY NOTHING",
      "CREATE TABLE k (a int, b text)",
      "INSERT INTO t VALUES (1, 'x')",
      "INSERT INTO k VALUES (1, 'x')",
    );
    await expect(prepared(["t", "k", "gone"])).rejects.toMatchObject({
      name: "RetryableError",
      reason: "refused",
      code: "postgres.table-missing",
      message: expect.stringMatching(/public\.gone.*public\.k has.*public\.t has/s),
      fix: expect.stringContaining('ALTER TABLE "public"."t" REPLICA IDENTITY DEFAULT;'),
    });
    expect(await things()).toEqual([]);
    await db.run("UPDATE t SET x = 'y'", "UPDATE k SET b = 'y'", "DELETE FROM t", "DELETE FROM k");
  });

  it("leaves updates of insertOnly tables alone", async () => {
    await db.run("CREATE TABLE k (a int, b text)", "INSERT INTO k VALUES (1, 'one'), (2, 'two')");
    const { tables } = await prepared([{ name: "k", insertOnly: true }]);
    expect(tables).toMatchObject([{ key: [], columns: [{ name: "a" }, { name: "b" }] }]);
    await db.run("UPDATE k SET b = 'three' WHERE a = 2", "DELETE FROM k");
  });

  it("streams and copies the same rows of a foreign publication with a filter", async () => {
    await db.run(
      "CREATE TABLE a (id int PRIMARY KEY, x text, y text)",
      "CREATE PUBLICATION sluice_articles FOR TABLE a (id, x) WHERE (id > 1)",
    );
    for (const setup of [true, false]) {
      const { tables } = await prepared(["a"], { setup });
      expect(tables).toMatchObject([
        { where: "(id > 1)", columns: [{ name: "id" }, { name: "x" }] },
      ]);
    }
  });

  it("works with the role that docs/postgres.md makes, which can write nothing", async () => {
    await db.run(
      "CREATE TABLE articles (id int PRIMARY KEY, body text)",
      "CREATE TABLE authors (id int PRIMARY KEY, name text)",
      "INSERT INTO articles VALUES (1, 'one')",
    );
    await db.run(...recipe("A role that can only read"));
    const shop = { ...run, project: "shop" };
    const names = namesOf({}, shop);
    try {
      const url = db.url.replace("postgres@", "sluice:secret@");
      const options = optionsOf(url, ["public.articles", "public.authors"]);
      const reader = await openSession(options, run);
      const replication = await openReplication(options, run);
      try {
        expect(codes(await check({ ...shop, config: options }))).toEqual([
          "ok server",
          "ok tables",
          "ok publication",
          "ok slot",
        ]);
        const { tables, publications } = await prepare(reader, options, names, silent);
        expect(tables.map(({ name }) => name)).toEqual(["articles", "authors"]);
        const origin = await readOrigin(replication);
        expect(origin.database).toBe("shop");
        const { consistentPoint } = await createSlot(replication, reader, {
          slot: names.slot,
          failover: false,
          log: silent,
          signal,
        });
        expect(await walBudget(reader, names.slot)).toMatchObject({ limitBytes: 2 ** 30 });
        await reader.query("SELECT pg_logical_emit_message(false, 'sluice:articles', '{}')");
        const [[snapshot] = []] = await reader.query("SELECT pg_current_snapshot()");
        expect(snapshot).toMatch(/^\d+:\d+:/);
        await db.run("INSERT INTO articles VALUES (2, 'two')");
        const stream = await replication.start({
          slot: names.slot,
          from: consistentPoint,
          publication: publications,
          confirmed: () => 0n,
          signal,
        });
        expect((await stream.take()).count).toBeGreaterThan(0);
        await stream.close();
        for (const statement of [
          "INSERT INTO public.articles VALUES (3, 'x')",
          "UPDATE public.articles SET body = 'x'",
          "DELETE FROM public.articles",
          "TRUNCATE public.articles",
          "DROP TABLE public.articles",
          "ALTER TABLE public.articles REPLICA IDENTITY FULL",
          "CREATE TABLE public.mine (id int)",
          "CREATE SCHEMA mine",
          "DROP PUBLICATION sluice_shop_articles",
        ])
          await expect(reader.query(statement), statement).rejects.toMatchObject({ code: "42501" });
        await expect
          .poll(async () => codes(await remove({ ...shop, config: options })))
          .toEqual(["warning kept", "warning kept"]);
      } finally {
        await replication.close();
        await reader.close();
      }
    } finally {
      await db.run("DROP OWNED BY sluice", "DROP ROLE sluice");
    }
  });

  it("works with the role of docs/postgres.md that keeps up its own publication", async () => {
    await db.run(
      "CREATE ROLE shop_owner",
      "GRANT ALL ON SCHEMA public TO shop_owner",
      "SET ROLE shop_owner",
      "CREATE TABLE articles (id int PRIMARY KEY, body text)",
      "CREATE TABLE authors (id int PRIMARY KEY, name text)",
      "RESET ROLE",
    );
    await db.run(...recipe("A role that keeps up the publication"));
    try {
      const url = db.url.replace("postgres@", "sluice:secret@");
      const reader = await openSession({ url, statementTimeoutMs: 60_000 }, run);
      for (const tables of [["articles"], ["articles", "authors"]])
        expect((await prepare(reader, optionsOf(url, tables), names, silent)).changed.length).toBe(
          1,
        );
      await reader.close();
      expect(codes(await remove({ ...run, config: optionsOf(url, ["articles"]) }))).toEqual([
        "ok removed",
        "ok removed",
      ]);
    } finally {
      await db.run(
        "DROP OWNED BY sluice",
        "DROP ROLE sluice",
        "DROP OWNED BY shop_owner",
        "DROP ROLE shop_owner",
      );
    }
  });
});

/** The statements of the first SQL block under a heading of the page. */
function recipe(heading: string): readonly string[] {
  const root = join(dirname(fileURLToPath(import.meta.url)), "../../../../..");
  const page = readFileSync(join(root, "docs/postgres.md"), "utf8");
  const [, section = ""] = page.split(`## ${heading}\n`);
  const sql = /```sql\n(.*?)```/s.exec(section)?.[1] ?? "";
  const statements = sql.split(/(?<=;)\n/).filter((statement) => statement.trim() !== "");
  expect(statements.length).toBeGreaterThan(2);
  return statements;
}
