import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { codes, openDatabase, optionsOf, remedies, type Database } from "./harness.ts";
import { qualified, quoted } from "./identifier.ts";
import { capturedTables } from "./tables.ts";

describe.each([15, 18] as const)("tables of PostgreSQL %i", (version) => {
  let server: PostgresServer;
  let db: Database;
  beforeAll(async () => {
    server = await startPostgres({ version });
    db = await openDatabase((await server.createDatabase()).url);
  });
  afterAll(async () => {
    await db?.close();
    await server?.stop();
  });
  const captured = (...tables: readonly unknown[]) =>
    capturedTables(db.session, optionsOf(db.url, tables));

  it("finds columns, key and identity, without what is not in the stream", async () => {
    await db.run(
      `CREATE TABLE plain (b varchar(20), tenant int, id numeric(10,2), gone text, "Name" text NOT NULL,
         twice int GENERATED ALWAYS AS (tenant * 2) STORED, PRIMARY KEY (tenant, id))`,
      "ALTER TABLE plain DROP COLUMN gone",
      "INSERT INTO plain SELECT 'x', n, n, 'y' FROM generate_series(1, 500) n",
      "ANALYZE plain",
    );
    const { tables, findings } = await captured("public.plain");
    expect(codes(findings)).toEqual(["ok tables"]);
    expect(tables).toMatchObject([
      { schema: "public", name: "plain", kind: "table", identity: "d", insertOnly: false },
    ]);
    expect(tables[0]?.key.map(({ name }) => name)).toEqual(["tenant", "id"]);
    expect(tables[0]?.columns).toEqual([
      { name: "b", type: 1043, typmod: 24, typeName: "character varying(20)", notNull: false },
      { name: "tenant", type: 23, typmod: -1, typeName: "integer", notNull: true },
      { name: "id", type: 1700, typmod: 655_366, typeName: "numeric(10,2)", notNull: true },
      { name: "Name", type: 25, typmod: -1, typeName: "text", notNull: true },
    ]);
    expect(tables[0]?.generated).toEqual(["twice"]);
  });

  it("adds the key to the columns asked for, and refuses unknown and generated ones", async () => {
    const { tables } = await captured({ name: "plain", columns: ["Name"] });
    expect(tables[0]?.columns.map(({ name }) => name)).toEqual(["tenant", "id", "Name"]);
    expect(codes((await captured({ name: "plain", columns: ["name"] })).findings)).toEqual([
      "error unknown-column",
    ]);
    expect(codes((await captured({ name: "plain", columns: ["twice"] })).findings)).toEqual([
      "error column-generated",
    ]);
    expect(codes((await captured({ name: "plain", key: ["nope"] })).findings)).toEqual([
      "error unknown-column",
    ]);
  });

  it("takes names as they are: dots, quotes, stars, case, emoji, 63 bytes", async () => {
    const odd = [
      "a.b",
      'q"q',
      "st*r",
      "UPPER case",
      "🎉 ñ",
      "$$",
      "\\d%_",
      "n\nl",
      "x".repeat(63),
      "'",
    ];
    await db.run('CREATE SCHEMA "od.d ""1"""');
    for (const name of odd)
      await db.run(
        `CREATE TABLE "od.d ""1""".${quoted(name)} (${quoted(name)} int PRIMARY KEY, ${quoted(`${name.slice(0, 50)}2`)} text)`,
      );
    for (const name of odd) {
      const written = `"od.d ""1""".${quoted(name)}`;
      const { tables, findings } = await captured({ name: written, columns: [name] });
      expect(codes(findings)).toEqual(["ok tables"]);
      expect(tables).toMatchObject([{ schema: 'od.d "1"', name, key: [{ name }] }]);
      await db.session.query(`SELECT FROM ${qualified({ schema: 'od.d "1"', name })}`);
    }
    const { tables } = await captured('"od.d ""1""".*');
    expect(tables.map(({ name }) => name).toSorted()).toEqual(odd.toSorted());
    expect((await captured('"od.d ""1""".UPPER*')).tables).toMatchObject([{ name: "UPPER case" }]);
    expect((await captured('"od.d ""1""".*\\d%_')).tables).toMatchObject([{ name: "\\d%_" }]);
  });

  it("refuses names that are none, and helps with those that are nearly right", async () => {
    for (const name of ["a.b.c", ".t", "t.", '"open', 'a"b', '""', '"a".'])
      expect(codes((await captured(name)).findings)).toEqual(["error table-name"]);
    await db.run('CREATE TABLE "Articles" (id int PRIMARY KEY)');
    const { findings } = await captured("public.articles");
    expect(codes(findings)).toEqual(["error table-missing"]);
    expect(findings[0]?.fix).toBe('Did you mean "public"."Articles"?');
  });

  it("asks a handful of queries about 500 tables", async () => {
    await db.run(
      "CREATE SCHEMA many",
      `DO $do$ BEGIN FOR n IN 1..500 LOOP
         EXECUTE format('CREATE TABLE many.t%s (id int PRIMARY KEY, body text)', n);
       END LOOP; END $do$`,
    );
    let asked = 0;
    const counting = {
      ...db.session,
      query: (...args: Parameters<typeof db.session.query>) => {
        asked += 1;
        return db.session.query(...args);
      },
    };
    const named = Array.from({ length: 500 }, (_, n) => `many.t${n + 1}`);
    for (const tables of [["many.*"], named]) {
      asked = 0;
      const started = performance.now();
      const found = await capturedTables(counting, optionsOf(db.url, tables));
      expect(found.tables.length).toBe(500);
      expect(asked).toBeLessThan(10);
      expect(performance.now() - started).toBeLessThan(5_000);
    }
  });

  it("lets a name decide before a pattern, and the later before the earlier", async () => {
    await db.run(
      "CREATE SCHEMA rank",
      "CREATE TABLE rank.a (id int PRIMARY KEY, x text, y text)",
      "CREATE TABLE rank.b (id int PRIMARY KEY, x text, y text)",
    );
    const { tables } = await captured(
      { name: "rank.a", columns: ["x"] },
      { name: "rank.*", columns: ["id"] },
      { name: "rank.*", columns: ["y"] },
    );
    expect(tables.map(({ columns }) => columns.map(({ name }) => name))).toEqual([
      ["id", "x"],
      ["id", "y"],
    ]);
  });

  it("refuses by name what has no log of changes, and passes it over in a pattern", async () => {
    await db.run(
      "CREATE SCHEMA kinds",
      "CREATE TABLE kinds.base (id int PRIMARY KEY)",
      "CREATE VIEW kinds.looks AS TABLE kinds.base",
      "CREATE MATERIALIZED VIEW kinds.kept AS TABLE kinds.base",
      "CREATE FOREIGN DATA WRAPPER elsewhere",
      "CREATE SERVER away FOREIGN DATA WRAPPER elsewhere",
      "CREATE FOREIGN TABLE kinds.afar (id int) SERVER away",
      "CREATE SEQUENCE kinds.counter",
      "CREATE UNLOGGED TABLE kinds.unlogged (id int PRIMARY KEY)",
      "CREATE TEMPORARY TABLE passing (id int PRIMARY KEY)",
    );
    const [temporary] = await db.run(
      "SELECT nspname AS schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relname = 'passing'",
    );
    for (const name of [
      "kinds.looks",
      "kinds.kept",
      "kinds.afar",
      "pg_catalog.pg_class",
      `${String(temporary?.["schema"])}.passing`,
    ]) {
      const { tables, findings } = await captured(name);
      expect([tables.length, ...codes(findings)]).toEqual([0, "error table-kind"]);
    }
    expect(codes((await captured("kinds.counter")).findings)).toEqual(["error table-missing"]);
    const all = await captured("kinds.*");
    expect(all.tables.map(({ name }) => name)).toEqual(["base"]);
    expect(codes(all.findings)).toEqual(["warning table-unlogged", "ok tables"]);
    expect((await captured("*.*")).tables.filter(({ schema }) => /^pg_|^inf/.test(schema))).toEqual(
      [],
    );
    expect(codes((await captured("kinds.nothing*")).findings)).toEqual([
      "warning table-missing",
      "error no-tables",
    ]);
  });

  describe("findings that their own SQL mends", () => {
    const cases: readonly {
      readonly what: string;
      readonly ddl: readonly string[];
      readonly entry?: Readonly<Record<string, unknown>>;
      readonly finds: readonly string[];
      readonly key: readonly string[];
    }[] = [
      {
        what: "no key at all",
        ddl: ["CREATE TABLE t (a int, b text)"],
        finds: ["error no-key"],
        key: ["id"],
      },
      {
        what: "no key, but a column id",
        ddl: ["CREATE TABLE t (id int, b text)"],
        finds: ["error no-key"],
        key: ["sluice_id"],
      },
      {
        what: "identity NOTHING",
        ddl: ["CREATE TABLE t (id int PRIMARY KEY)", "ALTER TABLE t REPLICA IDENTITY NOTHING"],
        finds: ["error no-key"],
        key: ["id"],
      },
      {
        what: "a unique index that could be the identity",
        ddl: [
          'CREATE TABLE t (a int NOT NULL, "b b" int NOT NULL, c int)',
          'CREATE UNIQUE INDEX "ix ""q""" ON t ("b b", a)',
        ],
        finds: ["error no-key"],
        key: ["b b", "a"],
      },
      {
        what: "unique indexes that cannot be the identity",
        ddl: [
          "CREATE TABLE t (a int, b int NOT NULL, UNIQUE (b) DEFERRABLE)",
          "CREATE UNIQUE INDEX ON t (a)",
          "CREATE UNIQUE INDEX ON t ((b + 1))",
          "CREATE UNIQUE INDEX ON t (b) WHERE b > 5",
        ],
        finds: ["error no-key"],
        key: ["id"],
      },
      {
        what: "a deferrable primary key",
        ddl: ["CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY IMMEDIATE)"],
        finds: ["error key-deferrable"],
        key: ["id"],
      },
      {
        what: "a deferrable primary key and identity NOTHING",
        ddl: [
          "CREATE TABLE t (id int PRIMARY KEY DEFERRABLE)",
          "ALTER TABLE t REPLICA IDENTITY NOTHING",
        ],
        finds: ["error key-deferrable"],
        key: ["id"],
      },
      {
        what: "a deferrable primary key under FULL",
        ddl: [
          "CREATE TABLE t (id int PRIMARY KEY DEFERRABLE)",
          "ALTER TABLE t REPLICA IDENTITY FULL",
        ],
        finds: ["warning key-deferrable", "ok tables"],
        key: ["id"],
      },
      {
        what: "FULL without a key",
        ddl: ["CREATE TABLE t (a int, b text)", "ALTER TABLE t REPLICA IDENTITY FULL"],
        finds: ["error no-key"],
        key: ["id"],
      },
      {
        what: "an identity index that was dropped",
        ddl: [
          "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL)",
          "CREATE UNIQUE INDEX t_a ON t (a)",
          "ALTER TABLE t REPLICA IDENTITY USING INDEX t_a",
          "DROP INDEX t_a",
        ],
        finds: ["error no-key"],
        key: ["id"],
      },
      {
        what: "a configured key outside the identity",
        ddl: ["CREATE TABLE t (id int PRIMARY KEY, sku text NOT NULL UNIQUE)"],
        entry: { key: ["sku"] },
        finds: ["error key-outside-identity"],
        key: ["sku"],
      },
      {
        what: "a configured key outside the identity that no index could cover",
        ddl: ["CREATE TABLE t (id int PRIMARY KEY, a int, b int, UNIQUE (a))"],
        entry: { key: ["a", "b"] },
        finds: ["error key-outside-identity", "warning key-null"],
        key: ["a", "b"],
      },
      {
        what: "a configured key that may be NULL",
        ddl: ["CREATE TABLE t (id int, sku text UNIQUE)", "ALTER TABLE t REPLICA IDENTITY FULL"],
        entry: { key: ["sku"] },
        finds: ["warning key-null", "ok tables"],
        key: ["sku"],
      },
      {
        what: "a configured key that is not unique",
        ddl: [
          "CREATE TABLE t (id int NOT NULL, name text NOT NULL)",
          "ALTER TABLE t REPLICA IDENTITY FULL",
        ],
        entry: { key: ["name"] },
        finds: ["error key-not-unique"],
        key: ["name"],
      },
      {
        what: "an unlogged table",
        ddl: ["CREATE UNLOGGED TABLE t (id int PRIMARY KEY)"],
        finds: ["error table-unlogged"],
        key: ["id"],
      },
      {
        what: "a filter on a column outside the identity",
        ddl: ["CREATE TABLE t (id int PRIMARY KEY, tenant int)"],
        entry: { where: "t.tenant = 5 -- only ours" },
        finds: ["error where-outside-identity"],
        key: ["id"],
      },
      {
        what: "a partition without identity",
        ddl: [
          "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)",
          "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
          "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20)",
          "ALTER TABLE t1 REPLICA IDENTITY NOTHING",
        ],
        finds: ["error partition-identity"],
        key: ["id"],
      },
      {
        what: "a FULL root whose partitions are not",
        ddl: [
          "CREATE TABLE t (id int PRIMARY KEY, data text) PARTITION BY RANGE (id)",
          "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id)",
          "CREATE TABLE t11 PARTITION OF t1 FOR VALUES FROM (0) TO (5)",
          "ALTER TABLE t REPLICA IDENTITY FULL",
        ],
        finds: ["error partition-identity"],
        key: ["id"],
      },
      {
        what: "a partitioned table with an index that could be the identity",
        ddl: [
          "CREATE TABLE t (id int NOT NULL, d date NOT NULL) PARTITION BY RANGE (d)",
          "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
          "CREATE UNIQUE INDEX ON t (id, d)",
        ],
        finds: ["error no-key"],
        key: ["id", "d"],
      },
      {
        what: "a partitioned table whose primary key is not its identity",
        ddl: [
          "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)",
          "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
          "ALTER TABLE t REPLICA IDENTITY NOTHING",
          "ALTER TABLE t1 REPLICA IDENTITY NOTHING",
        ],
        finds: ["error no-key"],
        key: ["id"],
      },
      {
        what: "a configured key of a partitioned table",
        ddl: [
          "CREATE TABLE t (id int PRIMARY KEY, sku text NOT NULL) PARTITION BY RANGE (id)",
          "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
          "CREATE UNIQUE INDEX ON t (id, sku)",
        ],
        entry: { key: ["id", "sku"] },
        finds: ["error key-outside-identity"],
        key: ["id", "sku"],
      },
      {
        what: "an unlogged partition",
        ddl: [
          "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)",
          "CREATE UNLOGGED TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
        ],
        finds: ["error table-unlogged"],
        key: ["id"],
      },
    ];
    for (const { what, ddl, entry, finds, key } of cases)
      it(what, async () => {
        await db.run(
          "DROP SCHEMA IF EXISTS mend CASCADE",
          "CREATE SCHEMA mend",
          "SET search_path = mend",
          ...ddl,
          "RESET search_path",
        );
        const before = await captured({ name: "mend.t", ...entry });
        expect(codes(before.findings)).toEqual(finds);
        await db.run(...remedies(before.findings));
        const after = await captured({ name: "mend.t", ...entry });
        expect(codes(after.findings)).toEqual(["ok tables"]);
        expect(after.tables[0]?.key.map(({ name }) => name)).toEqual(key);
      });
  });

  it("leaves out with a warning what only a pattern matches", async () => {
    await db.run(
      "CREATE SCHEMA mixed",
      "CREATE TABLE mixed.good (id int PRIMARY KEY)",
      "CREATE TABLE mixed.keyless (a int)",
    );
    const { tables, findings } = await captured("mixed.*");
    expect(tables.map(({ name }) => name)).toEqual(["good"]);
    expect(codes(findings)).toEqual(["warning no-key", "ok tables"]);
  });

  it("takes an insertOnly table without any key, and uses a key that is there", async () => {
    await db.run(
      "CREATE TABLE grows (a int, b text)",
      "CREATE TABLE keyed (id int PRIMARY KEY DEFERRABLE)",
    );
    const { tables, findings } = await captured(
      { name: "grows", insertOnly: true },
      { name: "keyed", insertOnly: true },
    );
    expect(codes(findings)).toEqual(["ok tables"]);
    expect(tables.map(({ name, key, insertOnly }) => [name, key.length, insertOnly])).toEqual([
      ["grows", 0, true],
      ["keyed", 1, true],
    ]);
  });

  it("says that a partitioned table without any key needs one", async () => {
    await db.run(
      "CREATE TABLE heap (id int, d date) PARTITION BY RANGE (d)",
      "CREATE TABLE heap1 PARTITION OF heap FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
    );
    const { findings } = await captured("heap");
    expect(codes(findings)).toEqual(["error no-key"]);
    expect(findings[0]?.fix).toContain("primary key");
    await db.run(...remedies(findings));
    expect(codes((await captured({ name: "heap", key: ["id", "d"] })).findings)).toEqual([
      "error key-not-unique",
      "warning key-null",
    ]);
  });

  it("captures a partitioned table once, under its root, and a leaf by itself where only it is named", async () => {
    await db.run(
      "CREATE SCHEMA parts",
      "CREATE TABLE parts.sales (id int, d date, PRIMARY KEY (id, d)) PARTITION BY RANGE (d)",
      "CREATE TABLE parts.sales_h1 PARTITION OF parts.sales FOR VALUES FROM ('2024-01-01') TO ('2024-07-01') PARTITION BY RANGE (d)",
      "CREATE TABLE parts.sales_q1 PARTITION OF parts.sales_h1 FOR VALUES FROM ('2024-01-01') TO ('2024-04-01')",
      "CREATE TABLE parts.sales_q2 PARTITION OF parts.sales_h1 FOR VALUES FROM ('2024-04-01') TO ('2024-07-01')",
      "INSERT INTO parts.sales SELECT n, '2024-01-02' FROM generate_series(1, 30) n",
      "ANALYZE parts.sales_q1",
    );
    for (const tables of [["parts.*"], ["parts.sales"], ["parts.sales_q1", "parts.sales"]]) {
      const found = await captured(...tables);
      expect(found.tables).toMatchObject([{ name: "sales", kind: "partitioned" }]);
      expect(found.tables[0]?.partitions.map(({ name, isLeaf }) => [name, isLeaf])).toEqual([
        ["sales_h1", false],
        ["sales_q1", true],
        ["sales_q2", true],
      ]);
    }
    expect((await captured("parts.sales_q*")).tables).toMatchObject([
      { name: "sales_q1", kind: "table" },
      { name: "sales_q2", kind: "table" },
    ]);
    expect((await captured("parts.sales_h1")).tables).toMatchObject([
      { name: "sales_h1", kind: "partitioned" },
    ]);
  });

  it("refuses a partitioned table with foreign partitions", async () => {
    await db.run(
      "CREATE TABLE mixed_in (id int) PARTITION BY RANGE (id)",
      "CREATE FOREIGN TABLE mixed_in_afar PARTITION OF mixed_in FOR VALUES FROM (0) TO (10) SERVER away",
    );
    expect(codes((await captured({ name: "mixed_in", insertOnly: true })).findings)).toEqual([
      "error partition-foreign",
    ]);
  });

  it("takes a parent without the tables that inherit from it, and says so", async () => {
    await db.run(
      "CREATE SCHEMA family",
      "CREATE TABLE family.parent (id int PRIMARY KEY)",
      "CREATE TABLE family.child (extra text) INHERITS (family.parent)",
    );
    const { tables, findings } = await captured("family.parent");
    expect(tables.map(({ name }) => name)).toEqual(["parent"]);
    expect(codes(findings)).toEqual(["warning heirs", "ok tables"]);
    await db.run("ALTER TABLE family.child ADD PRIMARY KEY (id)");
    expect(codes((await captured("family.*")).findings)).toEqual(["ok tables"]);
  });

  it("refuses filters that PostgreSQL refuses, and more than a condition", async () => {
    await db.run("CREATE TABLE filtered (id int PRIMARY KEY, body text)");
    for (const where of [
      "nope = 1",
      "id",
      "id >",
      "true) OR (",
      "true); DROP TABLE public.filtered; SELECT (true",
    ])
      expect(codes((await captured({ name: "filtered", where })).findings)).toEqual([
        "error bad-where",
      ]);
    expect(
      codes((await captured({ name: "filtered", where: "filtered.id > 3 -- c" })).findings),
    ).toEqual(["ok tables"]);
    expect(
      codes((await captured({ name: "filtered", where: "body = 'x'", insertOnly: true })).findings),
    ).toEqual(["ok tables"]);
  });
});
