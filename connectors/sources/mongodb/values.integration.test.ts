import assert from "node:assert/strict";
import { BSON, type Document } from "mongodb";
import { afterAll, describe, it } from "vitest";
import { startMongod } from "../../../test/mongod.ts";
import { documentOf, field, type Value } from "./bson.ts";
import { matcherOf, problemOf, type Filter } from "./filter.ts";
import { keyText, toJson } from "./json.ts";
import { fromDriver, decodeKey, encodeKey, toDriver } from "./key.ts";
import { shapeOf, type Projection } from "./projection.ts";

const set = await startMongod();
afterAll(() => set.stop());
const db = set.client().db("values");

/** Repeatable, so that a failure can be looked at: it names the case. */
function random(seed: number) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return { below, pick: <T>(all: readonly T[]): T => all[below(all.length)] as T };
}

const { Double, Int32, Long, Decimal128, ObjectId, Binary, Timestamp } = BSON;
const scalars: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => false,
  () => new Int32(1),
  () => new Int32(-7),
  () => new Double(1),
  () => new Double(1.5),
  () => new Double(-0),
  () => new Double(Number.NaN),
  () => new Double(Infinity),
  () => Long.fromNumber(1),
  () => Long.fromString("9007199254740993"),
  () => Long.MIN_VALUE,
  () => Decimal128.fromString("1.0"),
  () => Decimal128.fromString("1.50"),
  () => Decimal128.fromString("-1E+30"),
  () => Decimal128.fromString("NaN"),
  () => Decimal128.fromString("-Infinity"),
  () => Decimal128.fromString("0.0000001"),
  () => "a",
  () => "B",
  () => "é",
  () => "\u{1F600}",
  () => "\u{FF5E}",
  () => "",
  () => new ObjectId("65f0c0ffee0123456789abcd"),
  () => new Date(0),
  () => new Date(-62_135_596_800_001),
  () => new Date(1_700_000_000_123),
  () => new Date(253_402_300_800_000),
  () => new Binary(Buffer.from("xyz")),
  () => new Binary(Buffer.from("xyzw"), 128),
  () => new BSON.UUID("0123456789abcdef0123456789abcdef"),
  () => new Timestamp({ t: 4_000_000_000, i: 7 }),
  () => new BSON.BSONRegExp("a.c", "im"),
  () => new BSON.Code("f()"),
  () => new BSON.Code("f(x)", { x: 1 }),
  () => new BSON.BSONSymbol("a"),
  () => new BSON.MinKey(),
  () => new BSON.MaxKey(),
];
const names = ["a", "b", "c", "né"];

function documents(seed: number, count: number): Document[] {
  const { below, pick } = random(seed);
  const value = (depth: number): unknown => {
    const kind = below(10);
    if (depth > 2 || kind < 6) return pick(scalars)();
    if (kind < 8) return Array.from({ length: below(4) }, () => value(depth + 1));
    return fields(depth + 1);
  };
  const fields = (depth: number): Document =>
    Object.fromEntries(names.filter(() => below(3) > 0).map((name) => [name, value(depth)]));
  return Array.from({ length: count }, (_, _id) => ({ _id, ...fields(0) }));
}

async function raw(filter: Document, projection: Document = {}): Promise<readonly Value[]> {
  const found = await db
    .collection("all")
    .find(filter, { projection, raw: true })
    .sort({ _id: 1 })
    .toArray();
  return found.map((bytes) => documentOf(bytes as unknown as Buffer));
}

const encode = (value: unknown) =>
  fromDriver(BSON.EJSON.parse(JSON.stringify(value), { relaxed: false }), BSON);

describe("what the server stores", () => {
  it("is written as the driver's Extended JSON writes it", async () => {
    await db.collection("all").deleteMany({});
    await db.collection("all").insertMany(documents(1, 400));
    for (const document of await raw({})) {
      const values = BSON.deserialize(document.bytes, { promoteValues: false, bsonRegExp: true });
      const canonical = JSON.parse(BSON.EJSON.stringify(values, { relaxed: false })) as unknown;
      assert.deepEqual(toJson(document, "canonical"), canonical);
      // The driver's relaxed form of a large integer is another number, and it knows -0.
      const exact = toJson(document, "relaxed");
      const relaxed = JSON.parse(
        BSON.EJSON.stringify(values, { relaxed: true }).replaceAll("9007199254740992", '"large"'),
      ) as unknown;
      const same = JSON.stringify(exact)
        .replaceAll('{"$numberLong":"9007199254740993"}', '"large"')
        .replaceAll('{"$numberLong":"-9223372036854775808"}', "-9223372036854776000");
      assert.deepEqual(JSON.parse(same), relaxed);
    }
  });

  it("comes back as it went where it is a key", async () => {
    const keys = scalars.map((make) => make()).concat([{ b: 1, a: { 2: "x", 1: [1, null] } }, {}]);
    for (const key of keys) {
      const value = fromDriver(key, BSON);
      assert.equal(keyText(decodeKey(encodeKey(value))), keyText(value));
      assert.equal(keyText(fromDriver(toDriver(value, BSON), BSON)), keyText(value));
    }
    assert.equal(new Set(keys.map((key) => keyText(fromDriver(key, BSON)))).size, keys.length);
    const ordered = new Map([
      ["2", 1],
      ["1", 2],
    ]);
    const other = new Map([...ordered].toReversed());
    assert.equal(
      keyText(fromDriver(ordered, BSON)),
      '{"2":{"$numberInt":"1"},"1":{"$numberInt":"2"}}',
    );
    assert.notEqual(keyText(fromDriver(ordered, BSON)), keyText(fromDriver(other, BSON)));
  });
});

describe("a filter", () => {
  const operands = [
    null,
    true,
    1,
    -7,
    1.5,
    0,
    "a",
    "B",
    "é",
    "\u{1F600}",
    "\u{FF5E}",
    "",
    { $numberDouble: "NaN" },
    { $numberDecimal: "1.50" },
    { $numberDecimal: "-1E+30" },
    { $numberDecimal: "NaN" },
    { $numberLong: "9007199254740993" },
    { $numberDouble: "Infinity" },
    { $oid: "65f0c0ffee0123456789abcd" },
    { $date: "2023-11-14T22:13:20.123Z" },
    { $uuid: "01234567-89ab-cdef-0123-456789abcdef" },
    { $timestamp: { t: 4_000_000_000, i: 7 } },
    { $binary: { base64: "eHl6", subType: "00" } },
  ];
  const paths = ["a", "b", "c", "né", "a.b", "b.a", "c.né", "a.b.c", "b.b.b"];

  it("matches what the server's find matches", { timeout: 120_000 }, async () => {
    await db.collection("all").deleteMany({});
    await db.collection("all").insertMany(documents(7, 500));
    const everything = await raw({});
    const { below, pick } = random(11);
    const test = (): unknown => {
      switch (below(11)) {
        case 0:
          return pick(operands);
        case 1:
          return { $exists: below(2) === 0 };
        case 2:
          return { $in: Array.from({ length: below(4) }, () => pick(operands)) };
        case 3:
          return { $nin: Array.from({ length: below(4) }, () => pick(operands)) };
        case 4:
          return { $not: { [pick(["$gt", "$eq", "$lte"])]: pick(operands) } };
        case 5:
          return { $gte: pick(operands), $lt: pick(operands) };
        default:
          return { [pick(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])]: pick(operands) };
      }
    };
    const condition = (depth: number): Filter => {
      const kind = below(6);
      if (depth > 1 || kind < 4) return { [pick(paths)]: test() };
      if (kind === 4) return { [pick(paths)]: test(), [pick(paths)]: test() };
      return { [pick(["$and", "$or", "$nor"])]: [condition(depth + 1), condition(depth + 1)] };
    };
    let matched = 0;
    for (let round = 0; round < 1_500; round++) {
      const filter = condition(0);
      assert.equal(problemOf(filter), undefined, JSON.stringify(filter));
      const parsed = BSON.EJSON.parse(JSON.stringify(filter), { relaxed: false }) as Document;
      const wanted = (await raw(parsed, { _id: 1 })).map(idOf);
      const matches = matcherOf(filter, encode);
      const found = everything.filter(matches).map(idOf);
      assert.deepEqual(found, wanted, JSON.stringify(filter));
      matched += wanted.length;
    }
    assert.ok(matched > 10_000, `${matched} matches`);
  });
});

describe("a projection", () => {
  it("keeps what the server's find keeps", async () => {
    await db.collection("all").deleteMany({});
    await db.collection("all").insertMany(documents(3, 300));
    const everything = await raw({});
    const cases: readonly Projection[] = [
      { a: 1 },
      { a: 1, "b.a": 1 },
      { "a.b": 1, "a.c.a": 1, _id: 0 },
      { né: true, "c.né": 1 },
      { _id: 1 },
      { a: 0 },
      { "a.b": 0, "b.a.c": 0 },
      { "a.né": false, _id: 0 },
      { _id: 0 },
      { _id: 1, "b.b": 1 },
    ];
    for (const projection of cases) {
      const wanted = (await raw({}, projection as Document)).map((one) => toJson(one, "canonical"));
      const shape = shapeOf(projection);
      const found = everything.map((one) => toJson(one, "canonical", shape));
      assert.deepEqual(found, wanted, JSON.stringify(projection));
    }
  });
});

function idOf(document: Value): string {
  const id = field(document, "_id");
  return id ? keyText(id) : "";
}
