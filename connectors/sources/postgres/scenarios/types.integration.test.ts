import { expect } from "vitest";
import type { Json, JsonObject } from "sluice";
import { expectRows, held, onServers, rowEvents, story, type Bench } from "./harness.ts";

/** Type, an expression of SQL, and what `after` must hold. */
type Cases = readonly (readonly [type: string, sql: string, json: Json])[];

const cases: Readonly<Record<string, Cases>> = {
  "Y1: integers have exact digits": [
    ["int2", "-32767", -32767],
    ["int2", "32767", 32767],
    ["int2", "NULL", null],
    ["int4", "-2147483648", -2147483648],
    ["int4", "NULL", null],
    ["int8", "-9223372036854775808", "-9223372036854775808"],
    ["int8", "9223372036854775807", "9223372036854775807"],
    ["int8", "9007199254740991", 9007199254740991],
    ["int8", "NULL", null],
    ["oid", "0", 0],
    ["oid", "4294967295", 4294967295],
    ["oid", "NULL", null],
  ],
  "Y2: exact numbers keep their scale": [
    ["numeric(10,4)", "123456.7890", "123456.7890"],
    ["numeric(10,4)", "-999999.9999", "-999999.9999"],
    ["numeric(10,4)", "'NaN'", "NaN"],
    ["numeric", "'Infinity'", "Infinity"],
    ["numeric", "'-Infinity'", "-Infinity"],
    ["numeric", "NULL", null],
  ],
  "Y3: texts are unchanged": [
    ["char(10)", "'fixed'", "fixed     "],
    ["text", "''", ""],
    ["text", "NULL", null],
    ["text", "E'tab\\tand\\nnewline'", "tab\tand\nnewline"],
    ["text", "'ñ ✓ 🎉'", "ñ ✓ 🎉"],
    ["varchar(20)", "'ñ ✓ 🎉'", "ñ ✓ 🎉"],
  ],
  "Y4: bytes are base64, bits text": [
    ["bytea", "'\\xDEADBEEF'", "3q2+7w=="],
    ["bytea", "''", ""],
    ["bit(3)", "B'101'", "101"],
    ["varbit", "B'0010'", "0010"],
  ],
  "Y5: times do not depend on the server's settings": [
    ["time", "'23:59:59.999999'", "23:59:59.999999"],
    ["time", "'allballs'", "00:00:00"],
    ["timetz", "'14:30:00+05:30'", "14:30:00+05:30"],
    ["timestamptz", "'2024-01-15 14:30:00+02'", "2024-01-15T12:30:00Z"],
    ["timestamptz", "'infinity'", "infinity"],
    ["timestamptz", "'-infinity'", "-infinity"],
    ["timestamptz", "'epoch'", "1970-01-01T00:00:00Z"],
    ["timestamp", "'2024-02-29 12:34:56.123456'", "2024-02-29T12:34:56.123456"],
    ["timestamp", "'infinity'", "infinity"],
    ["timestamp", "'epoch'", "1970-01-01T00:00:00"],
    ["date", "'epoch'", "1970-01-01"],
    ["date", "'-infinity'", "-infinity"],
    ["date", "DATE '2024-01-15'", "2024-01-15"],
    ["interval", "'1 year 2 months 3 days'", "P1Y2M3D"],
    ["interval", "'5 hours 30 minutes'", "PT5H30M"],
    ["interval", "'0'", "PT0S"],
  ],
  "Y6: json is the server's text": [
    ["json", `'{"a" : 1.10}'`, `{"a" : 1.10}`],
    ["jsonb", `'{"a" : 1.10}'`, `{"a": 1.10}`],
    ["json", "'[1, 2]'", "[1, 2]"],
    ["jsonb", "'[1,2]'", "[1, 2]"],
    ["json", "'null'", "null"],
    ["jsonb", "'null'", "null"],
    ["json", "NULL", null],
    ["jsonb", "NULL", null],
    ["jsonpath", "'$.name'", `$."name"`],
    ["xml", `'<a b="c">&amp;</a>'`, `<a b="c">&amp;</a>`],
  ],
  "Y7: ranges, vectors of integers and geometry are text": [
    ["int4range", "'[5,5]'", "[5,6)"],
    ["numrange", "'[1.5,1.5]'", "[1.5,1.5]"],
    ["int4range", "'(,)'", "(,)"],
    ["int4multirange", "'{[1,3),[5,9)}'", "{[1,3),[5,9)}"],
    ["int2vector", "'1 2 3'", "1 2 3"],
    ["name", "'pg_class'", "pg_class"],
    ["box", "'(1,2),(3,4)'", "(3,4),(1,2)"],
    ["point", "'(1,2)'", "(1,2)"],
    ["line", "'{1,2,3}'", "{1,2,3}"],
    ["lseg", "'[(1,2),(3,4)]'", "[(1,2),(3,4)]"],
    ["path", "'((1,2),(3,4))'", "((1,2),(3,4))"],
    ["polygon", "'((1,2),(3,4))'", "((1,2),(3,4))"],
    ["circle", "'<(1,2),3>'", "<(1,2),3>"],
  ],
  "Y8: networks, search, money and extensions": [
    ["inet", "'10.0.0.1'", "10.0.0.1"],
    ["inet", "'10.0.0.1/8'", "10.0.0.1/8"],
    ["cidr", "'10.0.0.0/8'", "10.0.0.0/8"],
    ["macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"],
    ["macaddr8", "'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05"],
    ["uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    ["tsvector", "'fat cat sat'", "'cat' 'fat' 'sat'"],
    ["money", "-999.99", "-$999.99"],
    ["citext", "'Hello'", "Hello"],
    ["citext[]", "'{Hello,World}'", ["Hello", "World"]],
    ["hstore", `'a=>NULL, "b"=>"say \\"x\\""'`, `"a"=>NULL, "b"=>"say \\"x\\""`],
  ],
};

/** Settings that change every text, and must not. */
async function makeHostile({ all, database }: Bench) {
  for (const setting of [
    "timezone = 'America/New_York'",
    "datestyle = 'SQL, DMY'",
    "intervalstyle = 'postgres_verbose'",
    "extra_float_digits = 0",
    "bytea_output = 'escape'",
    "xmlbinary = 'hex'",
    "standard_conforming_strings = off",
  ])
    await all(`ALTER DATABASE "${database}" SET ${setting}`);
}

// Texts in, texts out, as pgvector does it; the extension itself is not everywhere.
const ofText = (name: string) => `
  CREATE TYPE ${name};
  CREATE FUNCTION ${name}_in(cstring) RETURNS ${name} AS 'textin' LANGUAGE internal STRICT IMMUTABLE;
  CREATE FUNCTION ${name}_out(${name}) RETURNS cstring AS 'textout' LANGUAGE internal STRICT IMMUTABLE;
  CREATE TYPE ${name} (INPUT = ${name}_in, OUTPUT = ${name}_out, LIKE = text);`;

/** `after` of the row 1, copied, and of the row 2, streamed. */
async function bothWays(bench: Bench, config: JsonObject, insert: (id: number) => string) {
  await bench.all(insert(1));
  const run = await bench.streaming(config);
  await bench.all(insert(2));
  await bench.caughtUp(run);
  const records = rowEvents(run).filter(({ type }) => type === "dev.sluice.record.upserted");
  return records.map(({ data }) => data as { op: string; after: JsonObject; meta: JsonObject });
}

onServers((scenario, version) => {
  for (const [name, columns] of Object.entries(cases))
    scenario(`${name}, copied as streamed`, async (bench) => {
      await makeHostile(bench);
      await bench.all(
        "CREATE EXTENSION citext",
        "CREATE EXTENSION hstore",
        `CREATE TABLE t(id int PRIMARY KEY, ${columns.map(([type], n) => `c${n} ${type}`).join(", ")})`,
      );
      const values = columns.map(([, sql]) => sql).join(", ");
      const rows = await bothWays(
        bench,
        { tables: ["t"] },
        (id) => `INSERT INTO t VALUES (${id}, ${values})`,
      );
      const wanted = Object.fromEntries(columns.map(([, , json], n) => [`c${n}`, json]));
      expect(rows).toMatchObject([{ op: "read" }, { op: "create" }]);
      expect(rows.map(({ after }) => after)).toEqual([
        { id: 1, ...wanted },
        { id: 2, ...wanted },
      ]);
    });

  scenario("Y9: generated columns are absent from both, vectors are numbers", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await all(
      ...["vector", "sparsevec"].map(ofText),
      `CREATE TABLE t(id int PRIMARY KEY, data text,
         len int GENERATED ALWAYS AS (length(data)) STORED, v vector, s sparsevec)`,
      "INSERT INTO t VALUES (1, 'one', DEFAULT, '[10,20,30]', '{}/25')",
    );
    const run = await streaming({ tables: ["t"] });
    await all(
      "INSERT INTO t VALUES (2, 'two', DEFAULT, '[10,20,30]', '{}/25'), (3, 'three', DEFAULT, NULL, NULL)",
      "UPDATE t SET data='zwei' WHERE id=2",
      "DELETE FROM t WHERE id=3",
    );
    await caughtUp(run);
    expect([...held(run.events, "/public.t")]).toEqual([
      ['["1"]', { id: 1, data: "one", v: [10, 20, 30], s: "{}/25" }],
      ['["2"]', { id: 2, data: "zwei", v: [10, 20, 30], s: "{}/25" }],
    ]);
    for (const { data } of rowEvents(run))
      expect((data as { after?: JsonObject }).after ?? {}).not.toHaveProperty("len");
  });

  if (version === 18)
    scenario(
      "Y9: generated columns stay out although a publication of others carries them",
      async (bench) => {
        const { all, streaming, caughtUp } = bench;
        await all(
          `CREATE TABLE t(id int PRIMARY KEY, data text, len int GENERATED ALWAYS AS (length(data)) STORED)`,
          "INSERT INTO t VALUES (1, 'one')",
          "CREATE PUBLICATION theirs FOR TABLE t WITH (publish_generated_columns = stored)",
        );
        const run = await streaming({ tables: ["t"], publication: "theirs" });
        await all("INSERT INTO t VALUES (2, 'two')");
        await all("ALTER TABLE t ADD COLUMN twice text GENERATED ALWAYS AS (data || data) STORED");
        await all("INSERT INTO t VALUES (3, 'three')", "UPDATE t SET data='uno' WHERE id=1");
        await caughtUp(run);
        expect([...held(run.events, "/public.t")]).toEqual([
          ['["1"]', { id: 1, data: "uno" }],
          ['["2"]', { id: 2, data: "two" }],
          ['["3"]', { id: 3, data: "three" }],
        ]);
      },
    );

  scenario(
    "Y10: keys of a domain, an enum, a date and others find their records",
    async (bench) => {
      const { all, sql, streaming, caughtUp } = bench;
      await makeHostile(bench);
      await all(
        "CREATE DOMAIN code AS text",
        "CREATE TYPE mood AS ENUM ('so, so', 'it''s \"ok\"')",
        "CREATE TABLE c(id code PRIMARY KEY, n int, long text)",
        "CREATE TABLE e(id mood PRIMARY KEY, n int, long text)",
        "CREATE TABLE d(id date PRIMARY KEY, n int, long text)",
        "CREATE TABLE i(id interval PRIMARY KEY, n int, long text)",
        "CREATE TABLE b(id bytea PRIMARY KEY, n int, long text)",
        "CREATE TABLE p(id char(5) PRIMARY KEY, n int, long text)",
        "CREATE TABLE f(id float8 PRIMARY KEY, n int, long text)",
        "CREATE TABLE a(id text[] PRIMARY KEY, n int, long text)",
      );
      const keys: Readonly<Record<string, readonly [string, string, string]>> = {
        c: ["'a,b'", "'x'", '["a,b"]'],
        e: ["'so, so'", "'it''s \"ok\"'", '["so, so"]'],
        d: ["DATE '2024-01-15'", "DATE '2024-02-29'", '["2024-01-15"]'],
        i: ["INTERVAL '1 day'", "INTERVAL '2 days'", '["P1D"]'],
        b: ["'\\xDEAD'::bytea", "'\\xBEEF'::bytea", '["\\\\xdead"]'],
        p: ["'x'", "'y'", '["x    "]'],
        f: ["0.1::float8 + 0.2", "1e308", '["0.30000000000000004"]'],
        a: ["ARRAY['a', NULL, 'b c']", "ARRAY['x']", '["{a,NULL,\\"b c\\"}"]'],
      };
      for (const table of Object.keys(keys))
        await all(`ALTER TABLE ${table} ALTER long SET STORAGE EXTERNAL`);
      for (const [table, [first]] of Object.entries(keys))
        await all(`INSERT INTO ${table} VALUES (${first}, 0, repeat('l', 3000))`);
      const run = await streaming({ tables: Object.keys(keys) });
      for (const [table, [, second]] of Object.entries(keys)) {
        await all(`INSERT INTO ${table} VALUES (${second}, 0, repeat('l', 3000))`);
        // Its long value is read again by the key.
        await all(`UPDATE ${table} SET n=n+1`);
      }
      await caughtUp(run);
      expect(story(run).filter((line) => line.includes("unchanged"))).toEqual([]);
      for (const [table, [, second]] of Object.entries(keys))
        await all(`DELETE FROM ${table} WHERE id = ${second}`);
      await caughtUp(run);
      for (const [table, [first, , subject]] of Object.entries(keys)) {
        const [[key, after] = []] = held(run.events, `/public.${table}`);
        expect([table, key, after?.["n"]]).toEqual([table, subject, 1]);
        expect(after?.["long"]).toBe("l".repeat(3_000));
        expect(await sql(`SELECT 1 AS one FROM ${table} WHERE id = ${first}`)).toEqual([
          { one: 1 },
        ]);
        await all(`DELETE FROM ${table}`);
      }
      await caughtUp(run);
      expect(
        story(run)
          .slice(-8)
          .every((line) => line.includes(" - ")),
      ).toBe(true);
      for (const table of Object.keys(keys))
        expect(held(run.events, `/public.${table}`).size).toBe(0);
    },
  );

  scenario(
    "keys whose operators lie outside pg_catalog are copied in their own order, and found again",
    async (bench) => {
      const { all, streaming } = bench;
      await all(
        'CREATE SCHEMA "Ext 1"',
        'CREATE EXTENSION citext SCHEMA "Ext 1"',
        "CREATE EXTENSION ltree",
        'CREATE DOMAIN "Odd Type" AS ltree',
        'CREATE TABLE c(id "Ext 1".citext PRIMARY KEY, n int, long text)',
        'CREATE TABLE l(id "Odd Type" PRIMARY KEY, n int, long text)',
        'CREATE TABLE m(x int, id "Ext 1".citext, y ltree, n int, long text, PRIMARY KEY (x, id, y))',
      );
      for (const table of ["c", "l", "m"])
        await all(`ALTER TABLE ${table} ALTER long SET STORAGE EXTERNAL`);
      // A and b, then C: by their bytes, capitals would come first.
      const letter = "CASE i % 2 WHEN 0 THEN chr(97 + i / 10) ELSE chr(65 + i / 10) END || i";
      await all(
        `INSERT INTO c SELECT ${letter}, i, repeat('l', 3000) FROM generate_series(0, 250) i`,
        `INSERT INTO l SELECT (${letter} || '.' || i)::ltree, i, repeat('l', 3000) FROM generate_series(0, 250) i`,
        `INSERT INTO m SELECT i % 3, ${letter}, (${letter})::text::ltree, i, repeat('l', 3000) FROM generate_series(0, 250) i`,
      );
      const run = await streaming({ tables: ["c", "l", "m"], chunkRows: 10 });
      for (const table of ["c", "l", "m"]) {
        await expectRows(bench, run, table);
        expect(held(run.events, `/public.${table}`).size).toBe(251);
      }
      for (const table of ["c", "l", "m"]) await all(`UPDATE ${table} SET n = -n WHERE n > 200`);
      for (const table of ["c", "l", "m"]) await expectRows(bench, run, table);
      expect(story(run).filter((line) => line.includes("unchanged"))).toEqual([]);
    },
  );

  scenario("Y11: values over maxValueBytes are treated the same in both", async (bench) => {
    const sized = (bytes: number) =>
      [
        `repeat('x', ${bytes})`,
        `repeat('é', ${bytes / 2})`,
        `decode(repeat('ab', ${bytes}), 'hex')`,
        `to_json(repeat('x', ${bytes - 2}))`,
        `to_jsonb(repeat('x', ${bytes - 2}))`,
      ].join(", ");
    await bench.all("CREATE TABLE t(id int PRIMARY KEY, a text, b text, c bytea, d json, e jsonb)");
    const [copied, copiedOver, streamed, streamedOver] = await bothWays(
      bench,
      { tables: ["t"], maxValueBytes: 2_048 },
      (id) => `INSERT INTO t VALUES (${id}, ${sized(2_048)}), (${id + 10}, ${sized(2_050)})`,
    );
    expect(copied?.after).toEqual({
      id: 1,
      a: "x".repeat(2_048),
      b: "é".repeat(1_024),
      c: Buffer.alloc(2_048, 0xab).toString("base64"),
      d: `"${"x".repeat(2_046)}"`,
      e: `"${"x".repeat(2_046)}"`,
    });
    expect(streamed?.after).toEqual({ ...copied?.after, id: 2 });
    expect(copied?.meta).not.toHaveProperty("oversized");
    expect(copiedOver).toMatchObject({
      after: { id: 11 },
      meta: { oversized: ["a", "b", "c", "d", "e"] },
    });
    expect(streamedOver).toMatchObject({
      after: { id: 12 },
      meta: { oversized: ["a", "b", "c", "d", "e"] },
    });
    expect(Object.keys(copiedOver?.after ?? {})).toEqual(["id"]);
    expect(Object.keys(streamedOver?.after ?? {})).toEqual(["id"]);
  });
});
