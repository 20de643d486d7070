import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { codes, openDatabase, optionsOf, remedies, silent, type Database } from "./harness.ts";
import { namesOf } from "./names.ts";
import { comparePublication, ensurePublication, publicationsOf } from "./publication.ts";
import { openSession } from "../session.ts";
import { capturedTables, type Table } from "./tables.ts";

const names = namesOf({ publication: "Pub ✓" }, { name: "shop", project: "sluice" });
const all = "insert, update, delete, truncate";

describe.each([15, 18] as const)("publications of PostgreSQL %i", (version) => {
  let server: PostgresServer;
  let db: Database;
  beforeAll(async () => {
    server = await startPostgres({ version });
    db = await openDatabase((await server.createDatabase("shop")).url);
  });
  afterAll(async () => {
    await db?.close();
    await server?.stop();
  });
  beforeEach(() =>
    db.run(
      "DROP SCHEMA IF EXISTS public, m CASCADE",
      "CREATE SCHEMA public",
      `DROP PUBLICATION IF EXISTS "Pub ✓", "Pub ✓-inserts"`,
    ),
  );

  const captured = async (...entries: readonly unknown[]): Promise<readonly Table[]> => {
    const { tables, findings } = await capturedTables(db.session, optionsOf(db.url, entries));
    expect(codes(findings).filter((code) => code.startsWith("error"))).toEqual([]);
    return tables;
  };
  const ensure = async (...entries: readonly unknown[]) =>
    ensurePublication(db.session, names, await captured(...entries), {
      log: silent,
      verify: async () => [],
    });
  const compare = async (setup: boolean, ...entries: readonly unknown[]) =>
    comparePublication(db.session, { setup }, names, await captured(...entries));
  const published = async (name = names.publication) =>
    (
      await db.run(`SELECT tablename || ' ' || attnames::text || coalesce(' ' || rowfilter, '') AS t
      FROM pg_publication_tables WHERE pubname = '${name}' ORDER BY 1`)
    ).map(({ t }) => t);
  const inNames = (tables: readonly Table[]) => tables.map(({ name }) => name);

  it("is made with all four operations, by root, and for what is asked", async () => {
    await db.run(
      "CREATE TABLE a (id int PRIMARY KEY, x text, y text)",
      'CREATE TABLE "b.✓" ("q""" int PRIMARY KEY, x text)',
      "CREATE TABLE log (x text)",
    );
    const entries = [
      { name: "a", columns: ["y"], where: "id > 5" },
      '"b.✓"',
      { name: "log", insertOnly: true },
    ];
    expect(codes((await compare(true, ...entries)).findings)).toEqual([
      "ok publication",
      "ok publication",
    ]);
    const { changed, tables } = await ensure(...entries);
    expect(inNames(changed)).toEqual(["a", "b.✓", "log"]);
    expect(inNames(tables)).toEqual(["a", "b.✓", "log"]);
    expect(await published()).toEqual(["a {id,y} (id > 5)", 'b.✓ {"q\\"",x}']);
    expect(await published(names.inserts)).toEqual(["log {x}"]);
    const facts = await db.run(
      "SELECT pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot FROM pg_publication ORDER BY pubname",
    );
    expect(facts.map((row) => Object.values(row))).toEqual([
      [true, true, true, true, true],
      [true, false, false, true, true],
    ]);
    expect(publicationsOf(names, tables)).toEqual(["Pub ✓", "Pub ✓-inserts"]);
    await db.run("UPDATE log SET x = 'the application goes on'");
    expect((await ensure(...entries)).changed).toEqual([]);
    expect(codes((await compare(false, ...entries)).findings)).toEqual([
      "ok publication",
      "ok publication",
    ]);
  });

  it("follows the configuration where it is ours: tables, columns, filters, operations come and go", async () => {
    for (const name of ["a", "b", "c"])
      await db.run(`CREATE TABLE ${name} (id int PRIMARY KEY, x text, y text)`);
    await ensure("a", "b");
    expect(inNames((await ensure("a", "b", "c")).changed)).toEqual(["c"]);
    expect((await ensure("b", "c")).changed).toEqual([]);
    expect(await published()).toEqual(["b {id,x,y}", "c {id,x,y}"]);
    expect(inNames((await ensure({ name: "b", columns: ["x"] }, "c")).changed)).toEqual(["b"]);
    expect(
      inNames(
        (await ensure({ name: "b", columns: ["x"] }, { name: "c", where: "id > 1" })).changed,
      ),
    ).toEqual(["c"]);
    expect(await published()).toEqual(["b {id,x}", "c {id,x,y} (id > 1)"]);
    // The same condition in other words of PostgreSQL is the same.
    expect(
      (await ensure({ name: "b", columns: ["x"] }, { name: "c", where: " c.id>1 " })).changed,
    ).toEqual([]);
    await db.run(
      "ALTER PUBLICATION \"Pub ✓\" SET (publish = 'insert', publish_via_partition_root = false)",
    );
    expect(inNames((await ensure("b", "c")).changed)).toEqual(["b", "c"]);
    expect(await published()).toEqual(["b {id,x,y}", "c {id,x,y}"]);
    const [facts] = await db.run(
      "SELECT pubupdate AND pubdelete AND pubtruncate AS all FROM pg_publication",
    );
    expect(facts).toEqual({ all: true });
  });

  it("notices that a table was dropped and made again", async () => {
    await db.run("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)");
    await ensure("a", "b");
    await db.run("DROP TABLE a", "CREATE TABLE a (id int PRIMARY KEY)");
    expect(codes((await compare(false, "a", "b")).findings)).toEqual([
      "error publication-lacks-table",
    ]);
    expect(inNames((await ensure("a", "b")).changed)).toEqual(["a"]);
  });

  it("moves a table between the publications when it becomes insertOnly", async () => {
    await db.run("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)");
    await ensure("a", "b");
    await ensure({ name: "a", insertOnly: true }, { name: "b", insertOnly: true });
    expect([await published(), await published(names.inserts)]).toEqual([[], ["a {id}", "b {id}"]]);
    await db.run("ALTER TABLE a DROP CONSTRAINT a_pkey", "DELETE FROM a");
    await ensure({ name: "a", insertOnly: true }, "b");
    expect([await published(), await published(names.inserts)]).toEqual([["b {id}"], ["a {id}"]]);
  });

  it("takes nothing from a publication that others made, and adds what is lacking", async () => {
    await db.run(
      "CREATE TABLE a (id int PRIMARY KEY, x text)",
      "CREATE TABLE b (id int PRIMARY KEY, x text)",
      "CREATE TABLE theirs (id int PRIMARY KEY)",
      `CREATE PUBLICATION "Pub ✓" FOR TABLE theirs, a WITH (publish = 'insert, delete')`,
    );
    // The updates of `a` were not published, and are lost.
    expect(inNames((await ensure("a", "b")).changed)).toEqual(["a", "b"]);
    expect(await published()).toEqual(["a {id,x}", "b {id,x}", "theirs {id}"]);
    const [facts] = await db.run(
      "SELECT pubupdate AND pubtruncate AS all, obj_description(oid) AS comment FROM pg_publication",
    );
    expect(facts).toEqual({ all: true, comment: null });
    await db.run('ALTER PUBLICATION "Pub ✓" SET TABLE theirs, a WHERE (id > 3), b');
    await expect(ensure({ name: "a", where: "id > 5" }, "b")).rejects.toMatchObject({
      code: "postgres.publication-filter",
      message: expect.stringContaining("was not made by this connector"),
    });
  });

  it("keeps to the filter and the columns of a publication that others made", async () => {
    await db.run(
      "CREATE TABLE a (id int PRIMARY KEY, x text, y text)",
      `CREATE PUBLICATION "Pub ✓" FOR TABLE a (id, x) WHERE (id > 3)`,
    );
    for (const setup of [true, false]) {
      const { findings, tables } = await compare(setup, "a");
      expect(codes(findings)).toEqual(["warning publication-filter", "ok publication"]);
      expect(tables).toMatchObject([
        { where: "(id > 3)", columns: [{ name: "id" }, { name: "x" }] },
      ]);
    }
    expect((await ensure("a")).tables).toMatchObject([{ where: "(id > 3)" }]);
    expect(codes((await compare(false, { name: "a", columns: ["y"] })).findings)).toEqual(
      ["error publication-columns"].concat("warning publication-filter"),
    );
  });

  describe("with setup: false, findings that their own SQL mends", () => {
    const cases: readonly {
      readonly what: string;
      readonly made?: string;
      readonly entries?: readonly unknown[];
      readonly finds: readonly string[];
    }[] = [
      { what: "no publication", finds: ["error publication-missing"] },
      {
        what: "no publication for insertOnly tables",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, ONLY p',
        entries: ["a", "p", { name: "heap", insertOnly: true }],
        finds: ["warning publication-not-via-root", "error publication-missing"],
      },
      {
        what: "a table is lacking",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE p WITH (publish_via_partition_root)',
        finds: ["error publication-lacks-table"],
      },
      {
        what: "truncate is lacking",
        made: `CREATE PUBLICATION "Pub ✓" FOR TABLE a, p WITH (publish = 'insert, update, delete', publish_via_partition_root)`,
        finds: ["error publication-operations"],
      },
      {
        what: "partitions come under their own names",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p',
        finds: ["warning publication-not-via-root"],
      },
      {
        what: "only a partition is published",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p1 WITH (publish_via_partition_root)',
        finds: ["error publication-lacks-table"],
      },
      {
        what: "only a part of a partition is published, which the root then overrules",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p1 WHERE (id > 3) WITH (publish_via_partition_root)',
        finds: ["error publication-lacks-table"],
      },
      {
        what: "a partition has a filter of its own",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p1 WHERE (id > 3), p2',
        finds: ["warning publication-not-via-root", "error publication-filter"],
      },
      {
        what: "a partition has a filter of its own beside its root",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p, p1 WHERE (id > 3)',
        finds: ["warning publication-not-via-root", "error publication-filter"],
      },
      {
        what: "a partition has a column list of its own beside its root",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p, p1 (id)',
        entries: ["a", { name: "p", columns: ["x"] }],
        finds: ["warning publication-not-via-root", "error publication-columns"],
      },
      {
        what: "partitions come by themselves where a filter is wanted",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p1, p2',
        entries: ["a", { name: "p", where: "id > 3" }],
        finds: ["error publication-not-via-root", "error publication-filter"],
      },
      {
        what: "another filter",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a WHERE (id > 3), p WITH (publish_via_partition_root)',
        entries: [{ name: "a", where: "id > 4" }, "p"],
        finds: ["error publication-filter"],
      },
      {
        what: "no filter",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p WITH (publish_via_partition_root)',
        entries: [{ name: "a", where: "id > 4" }, "p"],
        finds: ["error publication-filter"],
      },
      {
        what: "a column is lacking that the configuration names",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a (id), p WITH (publish_via_partition_root)',
        entries: [{ name: "a", columns: ["x"] }, "p"],
        finds: ["error publication-columns"],
      },
      {
        what: "the key is lacking, which makes the application's updates fail",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a (x), p WITH (publish_via_partition_root)',
        finds: ["error publication-columns"],
      },
      {
        what: "a column list under FULL",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p, f (id) WITH (publish_via_partition_root)',
        entries: ["a", "p", { name: "f", columns: ["id"] }],
        finds: ["error publication-columns"],
      },
      {
        what: "inserts of a table without a key with its updates",
        made: 'CREATE PUBLICATION "Pub ✓-inserts" FOR TABLE heap',
        entries: [{ name: "heap", insertOnly: true }],
        finds: ["error publication-operations"],
      },
      {
        what: "a table without a key among the others",
        made: 'CREATE PUBLICATION "Pub ✓" FOR TABLE a, p, heap WITH (publish_via_partition_root)',
        entries: ["a", "p", { name: "heap", insertOnly: true }],
        finds: ["error publication-breaks-updates", "error publication-missing"],
      },
    ];
    for (const { what, made, entries = ["a", "p"], finds } of cases)
      it(what, async () => {
        await db.run(
          "CREATE TABLE a (id int PRIMARY KEY, x text)",
          "CREATE TABLE p (id int PRIMARY KEY, x text) PARTITION BY RANGE (id)",
          "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
          "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
          "CREATE TABLE heap (x text)",
          "CREATE TABLE f (id int PRIMARY KEY, x text)",
          "ALTER TABLE f REPLICA IDENTITY FULL",
          "INSERT INTO a SELECT n, 'x' FROM generate_series(0, 19) n",
          "INSERT INTO p TABLE a",
          "INSERT INTO f TABLE a",
          "INSERT INTO heap SELECT x FROM a",
        );
        if (made !== undefined) await db.run(made);
        const { findings } = await compare(false, ...entries);
        expect(codes(findings).filter((code) => !code.startsWith("ok"))).toEqual(finds);
        await db.run(...remedies(findings));
        const after = await compare(false, ...entries);
        expect(codes(after.findings).filter((code) => !code.startsWith("ok"))).toEqual([]);
        for (const table of ["a", "p", "f", "heap"])
          await db.run(`UPDATE ${table} SET x = 'y'`, `DELETE FROM ${table}`);
      });
  });

  it("takes tables of a schema or of everything as covered, and says what it cannot narrow", async () => {
    await db.run(
      "CREATE TABLE a (id int PRIMARY KEY)",
      'CREATE PUBLICATION "Pub ✓" FOR ALL TABLES',
    );
    expect(codes((await compare(false, "a")).findings)).toEqual(["ok publication"]);
    expect((await ensure("a")).changed).toEqual([]);
    await db.run("CREATE TABLE keyless (x text)");
    const broken = await compare(true, "a", { name: "keyless", insertOnly: true });
    expect(broken.findings.find(({ severity }) => severity === "error")).toEqual({
      severity: "error",
      code: "postgres.publication-breaks-updates",
      message: expect.stringContaining("public.keyless"),
      fix: "Set another `publication`.",
    });
    await db.run(
      'DROP PUBLICATION "Pub ✓"',
      'CREATE PUBLICATION "Pub ✓" FOR TABLES IN SCHEMA public',
    );
    expect((await ensure("a")).changed).toEqual([]);
  });

  it("needs no partition to be there yet", async () => {
    await db.run(
      "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)",
      'CREATE PUBLICATION "Pub ✓" FOR TABLE p',
    );
    expect(codes((await compare(false, "p")).findings)).toEqual([
      "warning publication-not-via-root",
    ]);
    // It is not ours, and to change that would take the partitions from others.
    expect((await ensure("p")).changed).toEqual([]);
    expect(codes((await compare(false, "p")).findings)).toEqual([
      "warning publication-not-via-root",
    ]);
  });

  it("leaves a parent's heirs alone", async () => {
    await db.run(
      "CREATE TABLE parent (id int PRIMARY KEY)",
      "CREATE TABLE child (x text) INHERITS (parent)",
      "INSERT INTO child VALUES (1, 'x')",
    );
    await ensure("parent");
    expect(await published()).toEqual(["parent {id}"]);
    await db.run("UPDATE child SET x = 'y'", "DELETE FROM child");
  });

  it("changes nothing when the last look before the commit finds an error", async () => {
    await db.run("CREATE TABLE a (id int PRIMARY KEY)");
    const tables = await captured("a");
    await expect(
      ensurePublication(db.session, names, tables, {
        log: silent,
        verify: async () => [
          {
            severity: "error",
            code: "postgres.no-key",
            message: "postgres: just now.",
            fix: "Run: X;",
          },
        ],
      }),
    ).rejects.toMatchObject({ code: "postgres.no-key", reason: "refused" });
    expect(await db.run("SELECT FROM pg_publication")).toEqual([]);
    expect((await ensure("a")).changed.length).toBe(1);
  });

  it("says what PostgreSQL has against a filter, and changes nothing", async () => {
    await db.run("CREATE TABLE a (id int PRIMARY KEY)");
    await expect(ensure({ name: "a", where: "id > random()" })).rejects.toMatchObject({
      code: "postgres.publication-refused",
      message: expect.stringContaining("invalid publication WHERE expression"),
    });
    expect(await db.run("SELECT FROM pg_publication")).toEqual([]);
    expect((await ensure("a")).changed.length).toBe(1);
  });

  it("tells a role that owns nothing what its owner must run", async () => {
    await db.run(
      "CREATE TABLE a (id int PRIMARY KEY, x text)",
      "DROP ROLE IF EXISTS reader",
      "CREATE ROLE reader LOGIN REPLICATION",
      "GRANT SELECT ON a TO reader",
    );
    const url = db.url.replace("postgres@", "reader@");
    const session = await openSession(
      { url, statementTimeoutMs: 10_000 },
      { name: "test", signal: new AbortController().signal },
    );
    try {
      const look = async () => {
        const { tables } = await capturedTables(session, optionsOf(url, ["a"]));
        return comparePublication(session, { setup: true }, names, tables);
      };
      const none = await look();
      expect(codes(none.findings)).toEqual(["error publication-missing"]);
      expect(none.findings[0]?.message).toContain("may create none in this database");
      await db.run(...remedies(none.findings));
      expect(codes((await look()).findings)).toEqual(["ok publication"]);
      await db.run(`ALTER PUBLICATION "Pub ✓" SET (publish = 'insert')`);
      const less = await look();
      expect(codes(less.findings)).toEqual(["error publication-operations"]);
      expect(less.findings[0]?.message).toContain("does not own it");
      await db.run(
        'ALTER PUBLICATION "Pub ✓" OWNER TO postgres',
        "GRANT CREATE ON DATABASE shop TO reader",
        'DROP PUBLICATION "Pub ✓"',
      );
      expect((await look()).findings[0]?.message).toContain("does not own public.a");
    } finally {
      await session.close();
      await db.run("DROP OWNED BY reader", "DROP ROLE reader");
    }
  });

  // Promise 8: whatever is accepted must leave the application working.
  it("never breaks updates and deletes of what it accepts", { timeout: 120_000 }, async () => {
    const shapes = [
      "id int PRIMARY KEY, a int NOT NULL UNIQUE, b text",
      "id int PRIMARY KEY DEFERRABLE, a int NOT NULL UNIQUE, b text",
      "id int, a int NOT NULL UNIQUE, b text",
      "id int, a int NOT NULL, b text, PRIMARY KEY (a, id)",
      "id int NOT NULL UNIQUE DEFERRABLE, a int, b text",
    ];
    const identities = ["DEFAULT", "FULL", "NOTHING", "USING INDEX t_a_key"];
    const entries = [
      {},
      { columns: ["b"] },
      { columns: ["a"], where: "id > 2" },
      { where: "a > 2" },
      { where: "b = 'x' OR id > 1" },
      { key: ["a"] },
      { key: ["a"], columns: ["b"], where: "a > 0" },
      { insertOnly: true },
      { insertOnly: true, columns: ["b"], where: "b = 'x'" },
    ];
    const run = { log: silent, verify: async () => [] };
    let accepted = 0;
    let refused = 0;
    for (const shape of shapes)
      for (const partitioned of [false, true])
        for (const identity of identities) {
          if (!(await made(shape, identity, partitioned))) continue;
          for (const entry of entries) {
            const options = optionsOf(db.url, [{ name: "m.t", ...entry }]);
            const { tables, findings } = await capturedTables(db.session, options);
            if (findings.some(({ severity }) => severity === "error")) {
              refused += 1;
              continue;
            }
            accepted += 1;
            await ensurePublication(db.session, names, tables, run);
            await db.run(
              "INSERT INTO m.t (id, a, b) SELECT n, n, 'x' FROM generate_series(1, 3) n",
              "UPDATE m.t SET b = 'z'",
              "UPDATE m.t SET id = id + 3 WHERE id = 1",
              "DELETE FROM m.t",
            );
          }
        }
    expect([accepted > 40, refused > 40]).toEqual([true, true]);
  });

  /** False where such a table cannot be. */
  async function made(shape: string, identity: string, partitioned: boolean): Promise<boolean> {
    await db.run("DROP SCHEMA IF EXISTS m CASCADE", "CREATE SCHEMA m");
    try {
      await db.run(`CREATE TABLE m.t (${shape})${partitioned ? " PARTITION BY RANGE (id)" : ""}`);
      if (partitioned) {
        await db.run("CREATE TABLE m.t1 PARTITION OF m.t FOR VALUES FROM (0) TO (100)");
        const ofLeaf = identity.replace("t_a_key", "t1_a_key");
        await db.run(`ALTER TABLE m.t1 REPLICA IDENTITY ${ofLeaf}`);
      }
      await db.run(`ALTER TABLE m.t REPLICA IDENTITY ${identity}`);
    } catch {
      return false; // PostgreSQL refuses the combination itself.
    }
    return true;
  }

  it(`publishes ${all}`, async () => {
    await db.run("CREATE TABLE a (id int PRIMARY KEY)");
    expect(remedies((await compare(false, "a")).findings)).toEqual([
      `CREATE PUBLICATION "Pub ✓" FOR TABLE ONLY "public"."a" WITH (publish = '${all}', publish_via_partition_root = true);`,
    ]);
  });
});
