import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "sluice";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { openSession, type Session } from "../session.ts";
import { isEnd, messages, openStream } from "../wire/harness.ts";
import type { Tuple } from "../wire/tuple.ts";
import { rowBuilder, type BuiltRow } from "./row-builder.ts";
import { loadTypes } from "./types.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const maxValueBytes = 2_048;

/** A column's type, and what `after` must hold for each value, an expression of SQL. */
type Cases = readonly (readonly [
  type: string,
  values: readonly (readonly [sql: string, json: Json])[],
])[];

const byRule: Readonly<Record<string, Cases>> = {
  "Y1 integers": [
    [
      "int2",
      [
        ["-32767", -32767],
        ["32767", 32767],
        ["NULL", null],
      ],
    ],
    [
      "int4",
      [
        ["-2147483648", -2147483648],
        ["2147483647", 2147483647],
      ],
    ],
    [
      "int8",
      [
        ["-9223372036854775808", "-9223372036854775808"],
        ["9223372036854775807", "9223372036854775807"],
        ["9007199254740991", 9007199254740991],
        ["-9007199254740991", -9007199254740991],
        ["9007199254740992", "9007199254740992"],
        ["-9007199254740993", "-9007199254740993"],
        ["0", 0],
        ["NULL", null],
      ],
    ],
    [
      "oid",
      [
        ["0", 0],
        ["4294967295", 4294967295],
      ],
    ],
    [
      "boolean",
      [
        ["true", true],
        ["false", false],
        ["NULL", null],
      ],
    ],
  ],
  "Y2 numbers that are exact, and floats": [
    [
      "numeric(10,4)",
      [
        ["123456.7890", "123456.7890"],
        ["-999999.9999", "-999999.9999"],
        ["'NaN'", "NaN"],
      ],
    ],
    [
      "numeric",
      [
        ["'Infinity'", "Infinity"],
        ["'-Infinity'", "-Infinity"],
        ["0.1000", "0.1000"],
        ["1e40", `1${"0".repeat(40)}`],
      ],
    ],
    [
      "float4",
      [
        ["3.4028235e38", 3.4028235e38],
        ["0.1", 0.1],
        ["'NaN'", "NaN"],
        ["'-Infinity'", "-Infinity"],
        ["'-0'", 0],
      ],
    ],
    [
      "float8",
      [
        ["1e308", 1e308],
        ["5e-324", 5e-324],
        ["0.1::float8 + 0.2", 0.30000000000000004],
        ["'Infinity'", "Infinity"],
      ],
    ],
  ],
  "Y3 texts": [
    [
      "char(10)",
      [
        ["'fixed'", "fixed     "],
        ["''", " ".repeat(10)],
      ],
    ],
    [
      "text",
      [
        ["''", ""],
        ["NULL", null],
        ["E'tab\\tand\\nnewline\\\\'", "tab\tand\nnewline\\"],
        ["'ñ ✓ 🎉'", "ñ ✓ 🎉"],
        ["'null'", "null"],
        ["'NULL'", "NULL"],
        ["'ü'", "ü"],
        ["repeat('🎉', 100)", "🎉".repeat(100)],
      ],
    ],
    ["varchar(5)", [["'abcde'", "abcde"]]],
    [
      '"char"',
      [
        ["'x'", "x"],
        ["''", ""],
      ],
    ],
    ["name", [["'pg_class'", "pg_class"]]],
    ["uuid", [["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]]],
  ],
  "Y4 bytes and bits": [
    [
      "bytea",
      [
        ["'\\xDEADBEEF'", "3q2+7w=="],
        ["''", ""],
        ["NULL", null],
        ["'\\x00ff'", "AP8="],
      ],
    ],
    ["bit(3)", [["B'101'", "101"]]],
    [
      "varbit",
      [
        ["B'0010'", "0010"],
        ["B''", ""],
      ],
    ],
  ],
  "Y5 dates and times": [
    [
      "time",
      [
        ["'23:59:59.999999'", "23:59:59.999999"],
        ["'allballs'", "00:00:00"],
        ["'24:00'", "24:00:00"],
      ],
    ],
    ["timetz", [["'14:30:00+05:30'", "14:30:00+05:30"]]],
    [
      "date",
      [
        ["'2024-02-29'", "2024-02-29"],
        ["'infinity'", "infinity"],
        ["'-infinity'", "-infinity"],
        ["'epoch'", "1970-01-01"],
        ["'0044-03-15 BC'", "0044-03-15 BC"],
      ],
    ],
    [
      "timestamp",
      [
        ["'2024-02-29 12:34:56.123456'", "2024-02-29T12:34:56.123456"],
        ["'2024-02-29 12:34:56.1'", "2024-02-29T12:34:56.1"],
        ["'epoch'", "1970-01-01T00:00:00"],
        ["'0001-01-01'", "0001-01-01T00:00:00"],
        ["'9999-12-31 23:59:59'", "9999-12-31T23:59:59"],
        ["'infinity'", "infinity"],
        ["'-infinity'", "-infinity"],
        ["'0044-03-15 12:00:00 BC'", "0044-03-15 12:00:00 BC"],
        ["'10000-01-01'", "10000-01-01 00:00:00"],
        ["'294276-12-31 23:59:59.999999'", "294276-12-31 23:59:59.999999"],
      ],
    ],
    [
      "timestamptz",
      [
        ["'2024-01-15 14:30:00+02'", "2024-01-15T12:30:00Z"],
        ["'2024-07-15 14:30:00.5 America/New_York'", "2024-07-15T18:30:00.5Z"],
        ["'epoch'", "1970-01-01T00:00:00Z"],
        ["'1850-01-01 00:00:00+00'", "1850-01-01T00:00:00Z"],
        ["'infinity'", "infinity"],
        ["'-infinity'", "-infinity"],
        ["'0044-03-15 12:00:00+00 BC'", "0044-03-15 12:00:00+00 BC"],
        ["'10000-01-01 00:00:00+00'", "10000-01-01 00:00:00+00"],
      ],
    ],
    [
      "interval",
      [
        ["'1 year 2 months 3 days'", "P1Y2M3D"],
        ["'5 hours 30 minutes'", "PT5H30M"],
        ["'0'", "PT0S"],
        ["'-1.5 seconds'", "PT-1.5S"],
      ],
    ],
  ],
  "Y6 json and xml": [
    [
      "json",
      [
        [`'{"a" : 1.10, "a":2}'`, `{"a" : 1.10, "a":2}`],
        ["'[1, 2]'", "[1, 2]"],
        ["'null'", "null"],
        ["NULL", null],
      ],
    ],
    [
      "jsonb",
      [
        [`'{"b":1.10, "a":null}'`, `{"a": null, "b": 1.10}`],
        ["'null'", "null"],
        ["NULL", null],
      ],
    ],
    ["xml", [[`'<a b="c">&amp;</a>'`, '<a b="c">&amp;</a>']]],
    ["jsonpath", [["'$.name'", `$."name"`]]],
  ],
  "Y7 ranges and geometry": [
    [
      "int4range",
      [
        ["'[5,5]'", "[5,6)"],
        ["'empty'", "empty"],
        ["'(,)'", "(,)"],
      ],
    ],
    ["numrange", [["'[1.5,1.5]'", "[1.5,1.5]"]]],
    ["tstzrange", [["'[2024-01-15 14:30:00+02,)'", `["2024-01-15 12:30:00+00",)`]]],
    ["int4multirange", [["'{[1,3),[5,9)}'", "{[1,3),[5,9)}"]]],
    ["int2vector", [["'1 2 3'", "1 2 3"]]],
    ["oidvector", [["'1 2 3'", "1 2 3"]]],
    ["point", [["'(1,2)'", "(1,2)"]]],
    ["box", [["'(1,2),(3,4)'", "(3,4),(1,2)"]]],
    ["line", [["'{1,2,3}'", "{1,2,3}"]]],
    ["lseg", [["'[(1,2),(3,4)]'", "[(1,2),(3,4)]"]]],
    ["path", [["'((1,2),(3,4))'", "((1,2),(3,4))"]]],
    ["polygon", [["'((1,2),(3,4))'", "((1,2),(3,4))"]]],
    ["circle", [["'<(1,2),3>'", "<(1,2),3>"]]],
  ],
  "Y8 networks, search, money, extensions": [
    [
      "inet",
      [
        ["'10.0.0.1/8'", "10.0.0.1/8"],
        ["'::1'", "::1"],
      ],
    ],
    ["cidr", [["'10.0.0.0/8'", "10.0.0.0/8"]]],
    ["macaddr", [["'08:00:2b:01:02:03'", "08:00:2b:01:02:03"]]],
    ["macaddr8", [["'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05"]]],
    [
      "tsvector",
      [
        ["to_tsvector('simple', 'fat cat sat')", "'cat':2 'fat':1 'sat':3"],
        ["'fat cat sat'", "'cat' 'fat' 'sat'"],
      ],
    ],
    ["tsquery", [["'fat & cat'", "'fat' & 'cat'"]]],
    ["money", [["-999.99", "-$999.99"]]],
    ["citext", [["'Hello'", "Hello"]]],
    ["citext[]", [["'{Hello,World}'", ["Hello", "World"]]]],
    ["hstore", [[`'a=>NULL, "b"=>"say \\"x\\""'`, `"a"=>NULL, "b"=>"say \\"x\\""`]]],
    ["hstore[]", [[`ARRAY['a=>1'::hstore, NULL]`, [`"a"=>"1"`, null]]]],
  ],
  "Y9 vectors": [
    [
      "vector",
      [
        ["'[10,20,30]'", [10, 20, 30]],
        ["'[1e-05,-0.25,3.5e+20]'", [1e-5, -0.25, 3.5e20]],
      ],
    ],
    ["halfvec", [["'[1,2]'", [1, 2]]]],
    ["sparsevec", [["'{}/25'", "{}/25"]]],
    ["vector[]", [["ARRAY['[1,2]'::vector]", [[1, 2]]]]],
  ],
  "Y10 types of one's own": [
    [
      "code",
      [
        ["'a'", "a"],
        ["NULL", null],
      ],
    ],
    [
      "mood",
      [
        ["'so, so'", "so, so"],
        ["'it''s \"ok\"'", `it's "ok"`],
      ],
    ],
    ["mood[]", [[`ARRAY['so, so', NULL]::mood[]`, ["so, so", null]]]],
    ["cents", [["5", 5]]],
    ["few_cents", [["5", 5]]],
    ["big", [["9223372036854775807", "9223372036854775807"]]],
    ["blob", [["'\\x00ff'", "AP8="]]],
    ["few_cents[]", [["'{1,2,NULL}'", [1, 2, null]]]],
    ["list", [["'{1,2}'", [1, 2]]]],
    [
      "list_of_lists",
      [
        [
          "'{{1,2},{3,4}}'",
          [
            [1, 2],
            [3, 4],
          ],
        ],
      ],
    ],
    ["list[]", [[`ARRAY['{1,2}'::list, '{}'::list]`, [[1, 2], []]]]],
    [
      "pair",
      [
        [`ROW(1, 'a,"b')`, `(1,"a,""b")`],
        ["NULL", null],
      ],
    ],
    ["pair[]", [[`ARRAY[ROW(1, 'a b')]::pair[]`, [`(1,"a b")`]]]],
    ["span", [["'[a,b)'", "[a,b)"]]],
    ['"Odd Type"', [["'x'", "x"]]],
  ],
  "arrays of everything": [
    [
      "int4[]",
      [
        ["'{}'", []],
        ["'{1,NULL,-3}'", [1, null, -3]],
        ["NULL", null],
        ["'[2:4]={1,2,3}'", [1, 2, 3]],
        ["'[-1:0][3:3]={{1},{2}}'", [[1], [2]]],
      ],
    ],
    [
      "int8[][]",
      [
        [
          "'{{{{1,2}}},{{{9223372036854775807,NULL}}}}'",
          [[[[1, 2]]], [[["9223372036854775807", null]]]],
        ],
      ],
    ],
    [
      "text[]",
      [
        [
          `ARRAY['NULL', NULL, '', ' a ', 'a,b', '{x}', 'say "y"', 'back\\slash', E'new\\nline', '🎉']`,
          ["NULL", null, "", " a ", "a,b", "{x}", 'say "y"', "back\\slash", "new\nline", "🎉"],
        ],
      ],
    ],
    ["varchar(3)[]", [["'{null,nUll}'::text[]", [null, null]]]],
    ["char(3)[]", [["'{a}'", ["a  "]]]],
    ["boolean[]", [["'{t,f,NULL}'", [true, false, null]]]],
    ["numeric[]", [["'{1.10,NaN}'", ["1.10", "NaN"]]]],
    ["float8[]", [["'{1.5,NaN,Infinity}'", [1.5, "NaN", "Infinity"]]]],
    ["bytea[]", [[`ARRAY['\\xdeadbeef'::bytea, '']`, ["3q2+7w==", ""]]]],
    ["date[]", [["'{2024-02-29,infinity}'", ["2024-02-29", "infinity"]]]],
    ["timestamp[]", [["'{2024-02-29 12:34:56,infinity}'", ["2024-02-29T12:34:56", "infinity"]]]],
    ["timestamptz[]", [["'{2024-01-15 14:30:00+02,NULL}'", ["2024-01-15T12:30:00Z", null]]]],
    ["interval[]", [["'{1 day}'", ["P1D"]]]],
    ["jsonb[]", [[`ARRAY['{"a": "b"}'::jsonb, 'null', NULL]`, [`{"a": "b"}`, "null", null]]]],
    ["box[]", [["'{(1,2),(3,4);(5,6),(7,8)}'", ["(3,4),(1,2)", "(7,8),(5,6)"]]]],
    [
      "box_domain[]",
      [["ARRAY['(1,2),(3,4)'::box_domain, '(5,6),(7,8)']", ["(3,4),(1,2)", "(7,8),(5,6)"]]],
    ],
    ["point[]", [[`ARRAY[point(1,2), NULL]`, ["(1,2)", null]]]],
    ["int4range[]", [[`ARRAY['[1,3)'::int4range]`, ["[1,3)"]]]],
    ["int4multirange[]", [[`ARRAY['{[1,3)}'::int4multirange]`, ["{[1,3)}"]]]],
    [
      "uuid[]",
      [["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]]],
    ],
    ["inet[]", [["'{10.0.0.1/8}'", ["10.0.0.1/8"]]]],
    ["money[]", [["'{-999.99}'", ["-$999.99"]]]],
    ["int2vector[]", [[`ARRAY['1 2'::int2vector]`, ["1 2"]]]],
    ["name[]", [["'{a}'", ["a"]]]],
    ["tsvector[]", [[`ARRAY['a b'::tsvector]`, ["'a' 'b'"]]]],
  ],
};

// Texts in, texts out, as pgvector does it; the extension itself is not everywhere.
const ofText = (name: string) => `
  CREATE TYPE ${name};
  CREATE FUNCTION ${name}_in(cstring) RETURNS ${name} AS 'textin' LANGUAGE internal STRICT IMMUTABLE;
  CREATE FUNCTION ${name}_out(${name}) RETURNS cstring AS 'textout' LANGUAGE internal STRICT IMMUTABLE;
  CREATE TYPE ${name} (INPUT = ${name}_in, OUTPUT = ${name}_out, LIKE = text);`;

const ownTypes = `
  CREATE EXTENSION citext; CREATE EXTENSION hstore;
  ${["vector", "halfvec", "sparsevec"].map(ofText).join("")}
  CREATE DOMAIN code AS text;
  CREATE TYPE mood AS ENUM ('so, so', 'it''s "ok"');
  CREATE DOMAIN cents AS int4; CREATE DOMAIN few_cents AS cents CHECK (VALUE < 10);
  CREATE DOMAIN big AS int8; CREATE DOMAIN blob AS bytea;
  CREATE DOMAIN list AS int4[]; CREATE DOMAIN list_of_lists AS list;
  CREATE DOMAIN box_domain AS box;
  CREATE TYPE pair AS (a int, b text);
  CREATE TYPE span AS RANGE (subtype = text, collation = "C");
  CREATE DOMAIN "Odd Type" AS text;`;

/** Settings that change every text, and must not. */
const hostile = `
  ALTER DATABASE "shop" SET timezone = 'America/New_York';
  ALTER DATABASE "shop" SET datestyle = 'SQL, DMY';
  ALTER DATABASE "shop" SET intervalstyle = 'postgres_verbose';
  ALTER ROLE postgres SET extra_float_digits = 0;
  ALTER ROLE postgres SET bytea_output = 'escape';`;

type Rows = ReadonlyMap<string, readonly BuiltRow[]>;

describe.each([15, 18] as const)("PostgreSQL %i", (version) => {
  let server: PostgresServer;
  let session: Session;
  let url: string;
  let names = 0;
  const nextName = () => `t${(names += 1)}`;

  beforeAll(async () => {
    server = await startPostgres({ version });
    ({ url } = await server.createDatabase("shop"));
    const run = { name: "test", signal: new AbortController().signal };
    session = await openSession({ url, statementTimeoutMs: 60_000 }, run);
    await session.query(`SET search_path = public; ${ownTypes} ${hostile}`);
    await session.close();
    session = await openSession({ url, statementTimeoutMs: 60_000 }, run);
  });
  afterAll(async () => {
    await session?.close();
    await server?.stop();
  });

  /** The rows of `tables` as the query gives them, written before, and as the stream gives them, written after. */
  async function bothWays(
    tables: readonly {
      readonly name: string;
      readonly columns: string;
      /** Statements between CREATE TABLE and the first row. */
      readonly alter?: string;
      readonly rows: readonly string[];
    }[],
  ) {
    await session.query("CREATE PUBLICATION everything FOR ALL TABLES");
    try {
      for (const { name, columns, alter = "" } of tables)
        await session.query(
          `SET search_path = public; CREATE TABLE ${name} (n int PRIMARY KEY, ${columns}); ${alter}`,
        );
      const write = async () => {
        for (const { name, rows } of tables)
          for (const [n, row] of rows.entries())
            await session.query(
              `SET search_path = public; INSERT INTO ${name} VALUES (${n}, ${row})`,
            );
      };
      await write();
      await session.query("SET search_path = pg_catalog");
      const types = await loadTypes(session, silent);
      const queried = new Map<string, readonly BuiltRow[]>();
      for (const { name } of tables) {
        const columns = await session.query(
          `SELECT attname, atttypid, quote_ident(attname) FROM pg_attribute
           WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
          [`public.${name}`],
        );
        const rows = await session.query(
          `SELECT ${columns.map((column) => column[2]).join(", ")} FROM public.${name} ORDER BY n`,
        );
        queried.set(
          name,
          built(
            columns.map(([column, type]) => ({ name: `${column}`, type: Number(type) })),
            rows,
          ),
        );
      }
      const stream = await openStream(url, { publication: "everything" });
      for (const { name } of tables) await session.query(`DELETE FROM public.${name}`);
      await write();
      await session.query("SELECT pg_logical_emit_message(false, 'end', '')");
      const inserted = new Map<number, Tuple[]>();
      const streamed = new Map<string, readonly BuiltRow[]>();
      const all = await messages(stream, isEnd);
      await stream.close();
      for (const message of all)
        if (message.kind === "insert")
          inserted.set(message.relation, [...(inserted.get(message.relation) ?? []), message.row]);
      for (const message of all)
        if (message.kind === "relation")
          streamed.set(message.name, built(message.columns, inserted.get(message.oid) ?? []));

      function built(columns: readonly { name: string; type: number }[], rows: readonly Tuple[]) {
        expect(columns.filter(({ type }) => !types.knows(type))).toEqual([]);
        return rows.map(rowBuilder(columns, types, { maxValueBytes }));
      }
      return { queried, streamed } as { queried: Rows; streamed: Rows };
    } finally {
      await session.query("DROP PUBLICATION everything");
    }
  }

  it.each(Object.entries(byRule))(
    "%s: the same from query and stream, as the table says",
    async (_, cases) => {
      const prefix = nextName();
      const { queried, streamed } = await bothWays(
        cases.map(([type, values], i) => ({
          name: `${prefix}_${i}`,
          columns: `v ${type}`,
          rows: values.map(([sql]) => sql),
        })),
      );
      for (const [i, [type, values]] of cases.entries()) {
        const expected = values.map(([, json], n) => ({ after: { n, v: json } }));
        expect(queried.get(`${prefix}_${i}`), `${type}, queried`).toEqual(expected);
        expect(streamed.get(`${prefix}_${i}`), `${type}, streamed`).toEqual(expected);
      }
    },
  );

  it("Y9 leaves generated and dropped columns out of both", async () => {
    const name = nextName();
    const { queried, streamed } = await bothWays([
      {
        name,
        columns: "gone int, v text, len int GENERATED ALWAYS AS (length(v)) STORED",
        alter: `ALTER TABLE ${name} DROP COLUMN gone, ADD COLUMN w text DEFAULT 'd'`,
        rows: ["'abc'"],
      },
    ]);
    expect(queried.get(name)).toEqual([{ after: { n: 0, v: "abc", w: "d" } }]);
    expect(streamed.get(name)).toEqual(queried.get(name));
  });

  it("Y11 names values over maxValueBytes instead of cutting them, on both ways", async () => {
    const name = nextName();
    const sized = (bytes: number) =>
      [
        `repeat('x', ${bytes})`,
        `repeat('é', ${bytes / 2})`,
        `decode(repeat('ab', ${bytes}), 'hex')`,
        `to_json(repeat('x', ${bytes - 2}))`,
        `to_jsonb(repeat('x', ${bytes - 2}))`,
      ].join(", ");
    const { queried, streamed } = await bothWays([
      {
        name,
        columns: "t text, u text, b bytea, j json, k jsonb",
        rows: [sized(maxValueBytes), sized(maxValueBytes + 2)],
      },
    ]);
    const [under, over] = queried.get(name) ?? [];
    expect(under?.oversized).toBeUndefined();
    expect(under?.after).toEqual({
      n: 0,
      t: "x".repeat(maxValueBytes),
      u: "é".repeat(maxValueBytes / 2),
      b: Buffer.alloc(maxValueBytes, 0xab).toString("base64"),
      j: `"${"x".repeat(maxValueBytes - 2)}"`,
      k: `"${"x".repeat(maxValueBytes - 2)}"`,
    });
    expect(over).toEqual({ after: { n: 1 }, oversized: ["t", "u", "b", "j", "k"] });
    expect(streamed.get(name)).toEqual(queried.get(name));
  });

  it("keeps names apart, whatever they are", async () => {
    const name = nextName();
    const names = [
      "__proto__",
      "constructor",
      "Name",
      "name",
      "a.b",
      'say "hi"',
      "🎉",
      "7",
      "a b\n",
      "\\",
    ];
    const { queried, streamed } = await bothWays([
      {
        name,
        columns: names.map((column) => `"${column.replaceAll('"', '""')}" text`).join(", "),
        rows: [names.map((_, i) => `'${i}'`).join(", ")],
      },
    ]);
    for (const rows of [queried, streamed]) {
      const after = rows.get(name)?.[0]?.after ?? {};
      expect(Object.getPrototypeOf(after)).toBe(Object.prototype);
      expect(new Map(Object.entries(after))).toEqual(
        new Map<string, unknown>([
          ["n", 0],
          ...names.map((column, i) => [column, `${i}`] as const),
        ]),
      );
    }
  });

  it("learns of a type made later, and warns once of one that it does not know", async () => {
    const warnings: unknown[] = [];
    const types = await loadTypes(session, { ...silent, warn: (fields) => warnings.push(fields) });
    const name = nextName();
    await session.query(`CREATE DOMAIN public.${name} AS bool`);
    const [[text] = []] = await session.query(`SELECT 'public.${name}'::regtype::oid`);
    const oid = Number(text);
    expect(types.knows(oid)).toBe(false);
    expect([types.toJson(oid)("t"), types.toJson(oid)("t")]).toEqual(["t", "t"]);
    expect(warnings).toEqual([{ oid }]);
    await types.refresh(session);
    expect(types.knows(oid)).toBe(true);
    expect(types.toJson(oid)("t")).toBe(true);
  });
});
