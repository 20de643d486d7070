import assert from "node:assert/strict";
import { BSON } from "mongodb";
import { describe, it } from "vitest";
import { documentOf } from "./bson.ts";
import { captureOf, sourceOf } from "./capture.ts";
import { foreign } from "./checkpoint.ts";
import type { Chunk } from "./chunk.ts";
import { config } from "./config.ts";
import { decimalAt, decimalText } from "./decimal.ts";
import { toJson } from "./json.ts";
import { passes } from "./passes.ts";
import { asInserts, stagesOf } from "./pipeline.ts";
import { explained, isPassing } from "./problems.ts";
import { readings } from "./readings.ts";
import type { Reply } from "./reply.ts";
import { placeIn, timeOf, timeText } from "./token.ts";
import { track } from "./track.ts";

const base = { url: "mongodb://localhost", collections: ["shop.notes"] };
const problems = (more: Record<string, unknown>) => {
  const { error } = config.safeParse({ ...base, ...more });
  return error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`) ?? [];
};
const tokens = {
  event:
    "826B0869E0000000012B022C01002BFC6E5A10047CCD857A59354A6CBDF951D66678D7A2461E5F6964002B020004",
  next: "826B0869E0000000012B022C01002C01006E5A10047CCD857A59354A6CBDF951D66678D7A2461E5F6964002B020004",
  otherPipeline:
    "826B0869E0000000012B042C01002BFC6E5A10047CCD857A59354A6CBDF951D66678D7A2463C6F7065726174696F6E5479",
  idle: "826B0869E1000000002B0229296E04",
};

describe("a token", () => {
  it("M18: tells its time, in the order of events; a wrong one is refused, not guessed", () => {
    const times = [tokens.event, tokens.idle, "82FFFFFFFF0000000A2B"].map((data) =>
      timeOf({ data }),
    );
    assert.deepEqual(times.map(timeText), ["1795713504:1", "1795713505:0", "4294967295:10"]);
    assert.ok((times[0] ?? 0n) < (times[1] ?? 0n));
    for (const data of [`81${tokens.event.slice(2)}`, "", "82", "82XX", tokens.event.slice(0, 17)])
      assert.throws(() => timeOf({ data }), { code: "mongodb.token-invalid" });
  });

  it("orders the changes of a transaction, whatever pipeline it came through", () => {
    assert.ok(placeIn(tokens.event) < placeIn(tokens.next));
    assert.equal(placeIn(tokens.event), placeIn(tokens.otherPipeline));
  });
});

describe("collections", () => {
  it("are captured by name and by pattern, never the server's own", () => {
    const includes = (collections: string[], name: string) => {
      const [database = "", ...rest] = name.split(".");
      return captureOf({ collections, scope: "auto" }).includes({
        database,
        collection: rest.join("."),
      });
    };
    assert.ok(includes(["shop.notes"], "shop.notes"));
    assert.ok(!includes(["shop.notes"], "shop.notes2"));
    assert.ok(includes(["shop.a.b"], "shop.a.b"));
    assert.ok(includes(["shop.*"], "shop.a.b"));
    assert.ok(includes(["s*p.n*s"], "shop.notes"));
    assert.ok(!includes(["shop.a+"], "shop.aa"));
    assert.ok(includes(["*.*"], "any.thing"));
    for (const own of ["admin.x", "local.oplog.rs", "config.y", "shop.system.views"])
      assert.ok(!includes(["*.*", own], own), own);
  });

  it("decide where the stream is opened", () => {
    const level = (collections: string[], scope: "auto" | "collection" = "auto") => {
      const { database, target, ...capture } = captureOf({ collections, scope });
      return [capture.level, database, target];
    };
    assert.deepEqual(level(["shop.a", "shop.b*"]), ["database", "shop", 1]);
    assert.deepEqual(level(["shop.a", "blog.a"]), ["deployment", "admin", 1]);
    assert.deepEqual(level(["sh*.a"]), ["deployment", "admin", 1]);
    assert.deepEqual(level(["shop.a.b"], "collection"), ["collection", "shop", "a.b"]);
  });

  it("are matched by the server, old and new name of a rename", () => {
    const { match } = captureOf({ collections: ["shop.a", "blog.*"], scope: "auto" });
    const names = { $in: [{ db: "shop", coll: "a" }] };
    assert.deepEqual(match, {
      $or: [
        { ns: names },
        { "ns.db": "blog", "ns.coll": { $exists: true } },
        { to: names },
        { "to.db": "blog", "to.coll": { $exists: true } },
      ],
    });
    assert.equal(captureOf({ collections: ["*.*"], scope: "auto" }).match, undefined);
  });

  it("have sources that differ, whatever is in a name", () => {
    const source = (collection: string) => sourceOf("my shop", { database: "a", collection });
    assert.equal(source("b c/d"), "/mongodb/my%20shop/a.b%20c%2Fd");
    assert.notEqual(source("b/c"), source("b%2Fc"));
  });
});

describe("a config", () => {
  it("is refused with the place of what is wrong", () => {
    assert.deepEqual(problems({}), []);
    assert.match(problems({ url: "http://x" })[0] ?? "", /^url: a URL that starts with mongodb/);
    for (const name of ["notes", ".a", "a.", "a b.c", "a$.b"])
      assert.match(problems({ collections: [name] })[0] ?? "", /^collections\.0: `database/, name);
    for (const name of ["admin.users", "local.oplog.rs", "config.*", "shop.system.views"])
      assert.match(problems({ collections: [name] })[0] ?? "", /never captured/, name);
    assert.match(problems({ scope: "collection", collections: ["a.*"] })[0] ?? "", /^scope:/);
    assert.match(problems({ scope: "database", collections: ["a.b", "c.d"] })[0] ?? "", /^scope:/);
  });

  it("takes filters that both sides judge alike, and says which others there are", () => {
    const filter = (one: unknown) => problems({ filter: one })[0];
    for (const good of [
      {},
      { a: 1, "b.c": { $gte: { $date: "2024-01-01T00:00:00Z" } } },
      { $or: [{ a: null }, { $and: [{ b: { $in: ["x"] } }] }], c: { $not: { $exists: true } } },
    ])
      assert.equal(filter(good), undefined, JSON.stringify(good));
    for (const [bad, message] of [
      [{ a: { $regex: "x" } }, /\$regex/],
      [{ a: { b: 1 } }, /name its fields/],
      [{ a: [1] }, /name its fields/],
      [{ "a.0": 1 }, /places in an array/],
      [{ $where: "1" }, /\$and, \$or, \$nor/],
      [{ $or: [] }, /takes a list/],
      [{ $or: [{ a: { $size: 1 } }] }, /\$size/],
      [{ a: { $in: 1 } }, /takes a list of values/],
      [{ a: { $exists: 1 } }, /true or false/],
      [{ a: { $not: 1 } }, /takes operators/],
      [{ a: { $gt: { b: 1 } } }, /takes a value/],
    ] as const)
      assert.match(filter(bad) ?? "", message, JSON.stringify(bad));
  });

  it("takes stages that leave alone what the source lives by", () => {
    const pipeline = (...stages: unknown[]) => problems({ pipeline: stages })[0];
    assert.equal(
      pipeline({ $match: { operationType: "insert" } }, { $unset: "fullDocument.a" }),
      undefined,
    );
    for (const bad of [
      { $match: { "fullDocument.a": 1 } },
      { $match: { $expr: { $eq: ["$fullDocument.a", 1] } } },
      { $project: { _id: 0 } },
      { $unset: "documentKey" },
      { $unset: ["fullDocument.a", "fullDocument._id"] },
      { $set: { fullDocument: {} } },
      { $set: { "fullDocument._id.x": 1 } },
      { $group: { _id: 1 } },
      { $match: {}, $set: {} },
      {},
    ])
      assert.match(pipeline(bad) ?? "", /^pipeline:/, JSON.stringify(bad));
  });

  it("takes projections as find does", () => {
    const projection = (one: unknown) => problems({ projection: one })[0];
    assert.equal(projection({ a: 1, "b.c": true, _id: 0 }), undefined);
    assert.match(projection({ a: 1, b: 0 }) ?? "", /choose one/);
    assert.match(projection({ a: 1, "a.b": 1 }) ?? "", /lies inside "a"/);
    assert.match(projection({}) ?? "", /names no field/);
    assert.match(projection({ "a..b": 1 }) ?? "", /no field path/);
  });
});

describe("the stages of a stream", () => {
  it("leave out what is not used, but not what the filter reads", () => {
    const options = (more: Record<string, unknown>) => config.parse({ ...base, ...more });
    const last = (more: Record<string, unknown>) =>
      stagesOf(options(more), undefined, "normal").at(-1);
    assert.deepEqual(last({}), { $unset: "updateDescription" });
    const filter = { "a.b": 1, c: 1 };
    const kept = Object.keys(
      last({ projection: { a: 1, d: 1, _id: 0 }, filter })?.["$project"] ?? {},
    );
    const paths = kept.filter((path) => path.startsWith("fullDocument."));
    assert.deepEqual(
      paths,
      ["a", "d", "_id", "c"].map((path) => `fullDocument.${path}`),
    );
    assert.ok(
      kept.includes("documentKey") && kept.includes("clusterTime") && !kept.includes("_id"),
    );
    const dropped = last({ projection: { a: 0, c: 0, d: 0, _id: 0 }, filter });
    assert.deepEqual(dropped, {
      $unset: ["updateDescription", "fullDocument.d", "fullDocumentBeforeChange.d"],
    });
  });

  it("never hide a drop or a rename, and end with the split", () => {
    const options = config.parse({ ...base, pipeline: [{ $match: { operationType: "insert" } }] });
    const stages = stagesOf(options, { ns: 1 }, "split");
    assert.deepEqual(stages.slice(0, 2), [
      { $match: { ns: 1 } },
      {
        $match: {
          $or: [
            { operationType: { $nin: ["insert", "update", "replace", "delete"] } },
            { operationType: "insert" },
          ],
        },
      },
    ]);
    assert.deepEqual(stages.at(-1), { $changeStreamSplitLargeEvent: {} });
    const [replace, match] = asInserts(options, { database: "a", collection: "b" });
    assert.equal(replace?.["$replaceWith"].operationType, "insert");
    assert.deepEqual(match, options.pipeline[0]);
  });
});

describe("a reading", () => {
  const value = documentOf(Buffer.from(BSON.serialize({ _id: 1 })));
  const chunk = (...keys: string[]): Chunk => ({
    documents: new Map(keys.map((key) => [key, value])),
    last: undefined,
    isLast: true,
    time: 1n,
  });

  it("loses what the stream tells of meanwhile, before and after it is there", () => {
    const all = readings();
    const one = all.begin("shop.notes");
    all.touch("shop.notes", "a");
    all.touch("shop.posts", "b");
    assert.equal(one.fill(chunk("a", "b", "c")), "filled");
    all.touch("shop.notes", "c");
    assert.deepEqual([...one.documents().keys()], ["b"]);
    one.end();
    all.touch("shop.notes", "b");
    assert.deepEqual([...one.documents().keys()], ["b"]);
  });

  it("is void when its collection is cleared", () => {
    const all = readings();
    const [before, after] = [all.begin("shop.notes"), all.begin("shop.notes")];
    assert.equal(before.fill(chunk("a")), "filled");
    all.clear("shop.notes");
    assert.ok(before.isVoid());
    assert.equal(before.documents().size, 0);
    assert.equal(after.fill(chunk("a")), "void");
    assert.equal(all.begin("shop.notes").fill(chunk("a")), "filled");
  });

  it("begins anew when more changes than memory should hold", () => {
    const all = readings();
    const one = all.begin("shop.notes");
    for (let key = 0; key < 200_001; key++) all.touch("shop.notes", `${key}`);
    assert.equal(one.fill(chunk("a")), "again");
  });
});

describe("the track of a stream", () => {
  const event = (data: string, more: Record<string, unknown> = {}) =>
    documentOf(
      Buffer.from(
        BSON.serialize({
          _id: { _data: data },
          clusterTime: new BSON.Timestamp(timeOf({ data })),
          ...more,
        }),
      ),
    );
  const reply = (data: string, time: bigint, ...documents: Reply["documents"]): Reply => ({
    cursor: 1n,
    collection: "",
    documents,
    token: { data },
    time,
  });
  const time = timeOf({ data: tokens.event });

  it("goes through a time only when nothing of it can follow", () => {
    const at = track(undefined, false);
    assert.equal(at.opened(reply(tokens.event, time)).through, time - 1n);
    // More of the transaction may come.
    const given = at.given(
      reply(tokens.event, time, event(tokens.event, { operationType: "insert" })),
    );
    assert.equal(given.through, time - 1n);
    // An empty answer came to the end of what there was when it was asked for.
    assert.equal(at.given(reply(tokens.event, time + 9n)).through, time);
    assert.equal(at.given(reply(tokens.event, time + 9n)).through, time + 9n);
    const shards = track(undefined, true);
    shards.opened(reply(tokens.event, time + 5n));
    assert.equal(shards.given(reply(tokens.event, time + 9n)).through, time - 1n);
    assert.equal(
      shards.given(reply(tokens.idle, time + 9n)).through,
      timeOf({ data: tokens.idle }) - 1n,
    );
  });

  it("does not resume from between the pieces of a change, nor right behind them", () => {
    const at = track({ token: { data: tokens.event } }, false);
    at.opened(reply(tokens.event, time));
    const piece = (data: string, fragment: number, more: Record<string, unknown>) =>
      event(data, { splitEvent: { fragment, of: 2 }, ...more });
    const first = at.given(
      reply(`${tokens.next}01`, time, piece(`${tokens.next}01`, 1, { operationType: "update" })),
    );
    assert.deepEqual(first.changes, []);
    assert.deepEqual(first.position, { token: { data: tokens.event } });
    const second = at.given(
      reply(`${tokens.next}02`, time, piece(`${tokens.next}02`, 2, { fullDocument: { _id: 1 } })),
    );
    assert.deepEqual(second.position, { token: { data: tokens.event } });
    const [change] = second.changes;
    assert.equal(change?.operation, "update");
    assert.deepEqual(change.document && toJson(change.document, "relaxed"), { _id: 1 });
    assert.deepEqual(at.given(reply(`${tokens.next}02`, time)).position, first.position);
    assert.deepEqual(at.given(reply(tokens.idle, time)).position, { token: { data: tokens.idle } });
  });
});

it("passes keep their place over a restart", () => {
  const first = passes([{ id: "own/initial", done: 0, total: 0 }]);
  first.add({ id: "a", audience: "x" });
  first.add({ id: "a" });
  first.begin(5n, 1);
  first.counted(10);
  first.opened("shop.notes", [{ until: "m" }, { from: "m" }]);
  first.advanced(0, "c", 3);
  first.advanced(1, undefined, 2);
  const stored = JSON.parse(JSON.stringify(first.stored())) as ReturnType<typeof first.stored>;
  assert.deepEqual(stored, [
    {
      id: "own/initial",
      done: 5,
      total: 10,
      since: "0000000000000005",
      number: 1,
      current: { name: "shop.notes", ranges: [{ until: "m", after: "c" }] },
    },
    { id: "a", audience: "x", done: 0, total: 0 },
  ]);
  const second = passes(stored);
  assert.equal(second.waiting()?.id, "own/initial");
  assert.deepEqual(second.begin(9n, 2), stored[0]);
  second.closed("shop.notes");
  assert.equal(second.running()?.after, "shop.notes");
  second.finished();
  assert.equal(second.waiting()?.id, "a");
  assert.equal(second.begin(9n, 2).since, "0000000000000009");
});

it("a checkpoint is bound to its deployment, as far as rights let it be told", () => {
  const bound = { deployment: "rs0", id: "1", shape: "x" };
  assert.equal(foreign(bound, bound), undefined);
  assert.equal(foreign({ deployment: "rs0", shape: "x" }, bound), undefined);
  assert.equal(foreign(bound, { deployment: "rs0", shape: "y" }), undefined);
  assert.match(foreign(bound, { ...bound, id: "2" }) ?? "", /id 2/);
  assert.match(foreign(bound, { ...bound, deployment: "rs1" }) ?? "", /"rs1"/);
});

it("errors pass, or say what to do", () => {
  const server = (code: number, errorLabels: string[] = []) =>
    Object.assign(new Error("told so."), { code, errorLabels, name: "MongoServerError" });
  for (const code of [43, 10_107, 11_600]) assert.ok(isPassing(server(code)));
  assert.ok(isPassing(server(1, ["ResumableChangeStreamError"])));
  for (const name of [
    "MongoNetworkError",
    "PoolClearedOnNetworkError",
    "MongoServerSelectionError",
  ])
    assert.ok(isPassing(Object.assign(new Error("x"), { name })));
  assert.ok(isPassing(Object.assign(new Error("x"), { code: "EPIPE" })));
  assert.ok(!isPassing(server(286, ["NonResumableChangeStreamError"])));
  const codeFor = (code: number) => (explained(server(code)) as { code: unknown }).code;
  assert.deepEqual([13, 18, 47, 166, 40_573, 43, 1].map(codeFor), [
    "mongodb.forbidden",
    "mongodb.unauthorized",
    "mongodb.image-missing",
    "mongodb.not-a-collection",
    "mongodb.not-replica-set",
    "mongodb.unreachable",
    1,
  ]);
});

it("decimals are printed as the driver prints them", () => {
  for (const text of [
    "0",
    "-0",
    "0.00",
    "1",
    "-1.50",
    "1E+3",
    "1.2E+5",
    "1E-7",
    "0.000001",
    "123456789012345678901234567890.1234",
    "9.999999999999999999999999999999999E+6144",
    "1E-6176",
    "NaN",
    "Infinity",
    "-Infinity",
    "0E+10",
    "0E-20",
  ]) {
    const decimal = BSON.Decimal128.fromString(text);
    assert.equal(decimalText(decimalAt(Buffer.from(decimal.bytes), 0)), decimal.toString(), text);
  }
});

it("a document's text is the same whatever its fields are named", () => {
  const document = JSON.parse(
    '{"__proto__": {"a": 1}, "constructor": 2, "né": 3, "10": 4, "": 5}',
  ) as object;
  const json = toJson(documentOf(Buffer.from(BSON.serialize(document))), "plain");
  assert.equal(JSON.stringify(json), JSON.stringify(document));
});
