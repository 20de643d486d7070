import assert from "node:assert/strict";
import { BSON } from "mongodb";
import { isRecordChange, type DocumentUpserted, type RecordChange, type SluiceEvent } from "sluice";
import { fakes, type FakeState } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, it } from "vitest";
import { startMongod } from "../../../test/mongod.ts";
import {
  ascending,
  connector,
  equal,
  eventually,
  held,
  told,
  type Config,
  type Loose,
} from "./harness.ts";

const set = await startMongod({
  oplogMB: 200,
  args: ["--setParameter", "expiredChangeStreamPreImageRemovalJobSleepSecs=1"],
});
const client = set.client();
const { start, stopAll } = connector(set);
afterAll(() => set.stop());
afterEach(stopAll);

let number = 0;
let place: FakeState;
let db = client.db("s0");
beforeEach(() => {
  number += 1;
  db = client.db(`s${number}`);
  place = fakes.state();
});
const notes = () => db.collection<Loose>("notes");
const posts = () => db.collection<Loose>("posts");
const config = (more: Record<string, unknown> = {}): Config => ({
  collections: [`${db.databaseName}.*`],
  ...more,
});
const lines = (events: readonly SluiceEvent[]) =>
  told(events, notes().namespace).filter((line) => !line.includes("mark"));
type Told = Exclude<RecordChange, DocumentUpserted>;
const aboutNotes = (events: readonly SluiceEvent[]): readonly Told[] =>
  events
    .filter(isRecordChange)
    .filter((event): event is Told => event.type !== "dev.sluice.document.upserted")
    .filter(({ source }) => source.endsWith(".notes"));

/** A run that has copied what there is and follows. */
async function following(more: Record<string, unknown> = {}) {
  const run = await start(config(more), place);
  await eventually(() => run.progress.at(-1)?.phase === "streaming");
  await marked(run);
  return run;
}

/** All that was done before has been told. */
async function marked(run: Awaited<ReturnType<typeof start>>) {
  const { insertedId } = await db
    .collection<Loose>("marks")
    .insertOne({ _id: `mark${Math.random()}`, kind: "mark" });
  const marks = `${db.databaseName}.marks`;
  await run.until((events) =>
    told(events, marks).includes(`upserted ${JSON.stringify(insertedId)}`),
  );
}

describe("a change", () => {
  it("of each kind is told with what it was", async () => {
    const run = await following();
    await notes().insertOne({ _id: "a", n: 1 });
    await notes().updateOne({ _id: "a" }, { $set: { n: 2 } });
    await notes().replaceOne({ _id: "a" }, { m: 3 });
    await notes().deleteOne({ _id: "a" });
    await marked(run);
    const changes = aboutNotes(run.events).slice(-4);
    assert.deepEqual(
      changes.map((change) => [change.type.split(".").at(-1), change.data.meta["operation"]]),
      [
        ["upserted", "insert"],
        ["upserted", "update"],
        ["upserted", "replace"],
        ["deleted", "delete"],
      ],
    );
    const [insert] = changes;
    assert.ok(insert?.type === "dev.sluice.record.upserted");
    assert.equal(insert.data.op, "create");
    assert.deepEqual(insert.data.after, { _id: "a", n: 1 });
    assert.deepEqual(insert.data.key, { _id: "a" });
    assert.equal(insert.data.meta["collection"], "notes");
    assert.match(JSON.stringify(insert.data.meta["clusterTime"]), /^"\d+:\d+"$/);
    assert.ok(Math.abs(Date.parse(insert.time) - Date.now()) < 60_000);
    assert.match(insert.id, /^"a"@0000000[1-9]/);
    ascending(run.events);
  });

  it("of a transaction is told once it commits, each with a version of its own", async () => {
    await notes().insertOne({ _id: "t", n: 0 });
    const run = await following();
    await client.withSession((session) =>
      session.withTransaction(async () => {
        for (let n = 1; n <= 300; n++)
          await notes().updateOne({ _id: "t" }, { $set: { n } }, { session });
        await posts().insertOne({ _id: "p" }, { session });
      }),
    );
    const aborted = client.startSession();
    aborted.startTransaction();
    await notes().insertOne({ _id: "never" }, { session: aborted });
    await aborted.abortTransaction();
    await marked(run);
    const changes = aboutNotes(run.events)
      .filter(({ subject }) => subject === '"t"')
      .slice(-300);
    assert.equal(new Set(changes.map(({ id }) => id)).size, 300);
    assert.equal(new Set(changes.map(({ data }) => data.meta["clusterTime"])).size, 1);
    assert.equal(new Set(changes.map(({ data }) => data.meta["transaction"])).size, 1);
    assert.ok(!lines(run.events).includes('upserted "never"'));
    ascending(run.events);
    await equal(run, notes());
  });

  it("of a transaction is not lost when the source dies in the middle of it", async () => {
    const first = await start(config(), place, {
      killWhen: (events) => lines(events).length > 1_500,
    });
    await marked(first);
    await client.withSession((session) =>
      session.withTransaction(async () => {
        const many = Array.from({ length: 4_000 }, (_, at) => ({ _id: at }));
        await notes().insertMany(many, { session });
      }),
    );
    await first.ended;
    const second = await start(config(), place);
    await marked(second);
    const all = [...first.events.slice(0, -1_000), ...second.events];
    assert.equal(held(all).get(notes().namespace)?.size, 4_000);
    assert.ok(lines(second.events).length < 4_000, "it did not begin anew");
  });

  it("of a key's type is a delete and an upsert", async () => {
    await notes().insertOne({ _id: 1, text: "int" });
    const run = await following();
    await notes().replaceOne({ _id: 1 }, { _id: new BSON.Double(1), text: "double" });
    await equal(run, notes());
    await notes().replaceOne({ _id: 1 }, { _id: BSON.Long.fromNumber(1), text: "long" });
    await notes().updateOne({ _id: 1 }, { $set: { text: "changed" } });
    await equal(run, notes());
    await notes().deleteOne({ _id: 1 });
    await equal(run, notes());
    assert.equal(held(run.events).get(notes().namespace)?.size, 0);
  });

  it("M14: by $push with $slice and of a field with a dot in its name", async () => {
    await notes().insertOne({ _id: 1, list: [1, 2, 3] });
    const run = await following();
    await notes().updateOne({ _id: 1 }, { $push: { list: { $each: [4, 5], $slice: 2 } as never } });
    await notes().updateOne({ _id: 1 }, [
      { $replaceWith: { $setField: { field: "a.b", input: "$$ROOT", value: "dotted" } } },
    ]);
    await equal(run, notes());
    const after = held(run.events).get(notes().namespace)?.get('{"$numberInt":"1"}');
    assert.deepEqual(after, { _id: 1, list: [1, 2], "a.b": "dotted" });
  });
});

describe("a collection", () => {
  it("M5: that is dropped is cleared; made again, it flows again; others are left alone", async () => {
    await notes().insertMany([{ _id: 1 }, { _id: 2 }]);
    await posts().insertOne({ _id: 1 });
    const run = await following();
    await notes().drop();
    await notes().insertOne({ _id: 3 });
    await equal(run, notes());
    await equal(run, posts());
    const all = lines(run.events);
    assert.deepEqual(all.slice(all.indexOf("cleared drop")), [
      "cleared drop",
      'upserted {"$numberInt":"3"}',
    ]);
  });

  it("that is renamed is cleared, and copied where its new name is captured", async () => {
    await notes().insertMany([{ _id: 1 }, { _id: 2 }]);
    await posts().insertMany([{ _id: 2, old: true }, { _id: 7 }]);
    const run = await following();
    await notes().rename("posts", { dropTarget: true });
    await posts().insertOne({ _id: 8 });
    await equal(run, posts());
    await equal(run, notes());
    const beyond = client.db(`x${db.databaseName}`);
    await posts().rename("elsewhere");
    await client.db("admin").command({
      renameCollection: `${db.databaseName}.elsewhere`,
      to: `${beyond.databaseName}.a`,
    });
    await equal(run, posts());
    await client
      .db("admin")
      .command({ renameCollection: `${beyond.databaseName}.a`, to: `${db.databaseName}.back` });
    await equal(run, db.collection<Loose>("back"));
    assert.equal(held(run.events).get(`${db.databaseName}.back`)?.size, 3);
  });

  it("that is dropped while it is copied does not come back", async () => {
    for (let round = 0; round < 5; round++) {
      const collection = db.collection<Loose>(`c${round}`);
      await collection.insertMany(Array.from({ length: 2_000 }, (_, at) => ({ _id: at })));
      const run = await start(config({ chunkDocuments: 50 }), fakes.state());
      await run.until((events) => events.length > 100 * round);
      await collection.drop();
      await collection.insertOne({ _id: "new" });
      await equal(run, collection);
      await marked(run);
      await equal(run, collection);
      await run.stop();
    }
  });

  it("M6: with its database dropped is cleared; the stream goes on when the database is used again", async () => {
    for (const scope of ["database", "deployment", "collection"]) {
      await notes().insertOne({ _id: 1 });
      const collections = scope === "collection" ? [notes().namespace] : [`${db.databaseName}.n*`];
      const run = await start(config({ scope, collections, filter: { hidden: { $ne: true } } }));
      await equal(run, notes());
      await eventually(() => run.progress.at(-1)?.phase === "streaming");
      await eventually(() => run.progress.at(-1)?.lagSeconds === 0);
      await db.dropDatabase();
      await run.until((events) => lines(events).includes("cleared drop"));
      await notes().insertMany([{ _id: 2 }, { _id: 3, hidden: true }]);
      await run.until((events) => lines(events).includes('upserted {"$numberInt":"2"}'));
      assert.equal(held(run.events).get(notes().namespace)?.size, 1);
      await run.stop();
      await db.dropDatabase();
    }
  });

  it("watched alone lives on over drop, rename and another in its place", async () => {
    await notes().insertOne({ _id: 1 });
    const run = await start(
      config({ scope: "collection", collections: [notes().namespace] }),
      place,
    );
    await equal(run, notes());
    await notes().drop();
    await notes().insertOne({ _id: 2 });
    await equal(run, notes());
    await posts().insertOne({ _id: 3 });
    await posts().rename("notes", { dropTarget: true });
    await equal(run, notes());
    await notes().rename("gone");
    await notes().insertOne({ _id: 4 });
    await equal(run, notes());
    await run.stop();
    await notes().drop();
    await notes().insertOne({ _id: 5 });
    const again = await start(
      config({ scope: "collection", collections: [notes().namespace] }),
      place,
    );
    await again.until((events) => lines(events).includes('upserted {"$numberInt":"5"}'));
    assert.deepEqual(lines(again.events), ["cleared drop", 'upserted {"$numberInt":"5"}']);
  });
});

describe("a document", () => {
  it("M16: that is gone when an update's is looked up is deleted", async () => {
    for (const fullDocument of ["updateLookup", "batchLookup"]) {
      await notes().insertMany([{ _id: 1 }, { _id: 2 }]);
      const run = await following({ fullDocument });
      await run.stop();
      await notes().updateOne({ _id: 1 }, { $set: { n: 1 } });
      await notes().deleteOne({ _id: 1 });
      const again = await following({ fullDocument });
      const key = '{"$numberInt":"1"}';
      assert.deepEqual(lines(again.events), [`deleted ${key}`, `deleted ${key}`]);
      await again.stop();
      await notes().deleteMany({});
      await (await following({ fullDocument })).stop();
    }
  });

  it("M17: that did not come with its update, but exists, is read", async () => {
    await notes().insertMany([{ _id: 1 }, { _id: 2 }]);
    const run = await following({ fullDocument: "whenAvailable" });
    await notes().updateOne({ _id: 1 }, { $set: { n: 1 } });
    await equal(run, notes());
    assert.ok(!lines(run.events).some((line) => line.startsWith("deleted")));
  });

  it("M13: comes as it was at each change where its collection keeps images", async () => {
    await db.createCollection("notes", { changeStreamPreAndPostImages: { enabled: true } });
    await notes().insertOne({ _id: 1, n: 0 });
    for (const fullDocument of ["whenAvailable", "required"]) {
      const run = await following({ fullDocument, fullDocumentBeforeChange: fullDocument });
      await run.stop();
      await notes().updateOne({ _id: 1 }, { $inc: { n: 1 } as never });
      await notes().updateOne({ _id: 1 }, { $inc: { n: 1 } as never });
      const again = await following({ fullDocument, fullDocumentBeforeChange: fullDocument });
      await equal(again, notes());
      const updates = aboutNotes(again.events).flatMap((event) =>
        event.type === "dev.sluice.record.upserted" ? event.data : [],
      );
      const n = (one: unknown) => (one as { n: number }).n;
      assert.equal(updates.length, 2);
      assert.deepEqual(
        updates.map(({ before, after }) => n(after) - n(before)),
        [1, 1],
      );
      assert.equal(n(updates[1]?.before), n(updates[0]?.after));
      await again.stop();
    }
  });

  it("M13: whose image has expired stops a source that requires it", async () => {
    const expire = (expireAfterSeconds: number | string) =>
      client.db("admin").command({
        setClusterParameter: { changeStreamOptions: { preAndPostImages: { expireAfterSeconds } } },
      });
    await db.createCollection("notes", { changeStreamPreAndPostImages: { enabled: true } });
    await notes().insertOne({ _id: 1, n: 0 });
    const options = { fullDocument: "required", fullDocumentBeforeChange: "required" };
    await (await following(options)).stop();
    await notes().updateOne({ _id: 1 }, { $inc: { n: 1 } as never });
    await expire(1);
    // The stream reads what a majority has.
    const readConcern = { level: "majority" } as const;
    const images = client.db("config").collection("system.preimages", { readConcern });
    await eventually(async () => (await images.countDocuments({})) === 0);
    const run = await start(config(options), place);
    await assert.rejects(run.ended, { name: "ConfigError", code: "mongodb.image-missing" });
    await expire("off");
  });

  it("is told as it was before its delete, where the collection keeps images", async () => {
    await db.createCollection("notes", { changeStreamPreAndPostImages: { enabled: true } });
    const run = await following({ fullDocumentBeforeChange: "whenAvailable" });
    for (const collection of [notes(), posts()]) {
      await collection.insertOne({ _id: 1, text: "was" });
      await collection.deleteOne({ _id: 1 });
    }
    await marked(run);
    const data = run.events
      .filter(({ type }) => type === "dev.sluice.record.deleted")
      .map((event) => event.data as { readonly before?: unknown });
    assert.deepEqual(
      data.map(({ before }) => before),
      [{ _id: 1, text: "was" }, undefined],
    );
  });

  it("is read in batches, when told to, as it is looked up otherwise", async () => {
    const run = await following({ fullDocument: "batchLookup" });
    const many = Array.from({ length: 1_500 }, (_, at) => ({ _id: at, n: 0 }));
    await notes().insertMany(many);
    await notes().updateMany({}, { $inc: { n: 1 } as never });
    await notes().updateMany({ _id: { $lt: 100 } }, { $inc: { n: 1 } as never });
    await notes().deleteMany({ _id: { $gt: 1_400 } });
    await equal(run, notes());
  });

  it("that is looked up by a key equal to another one's, but of another type, is not that one", async () => {
    const run = await following({ fullDocument: "batchLookup" });
    await notes().insertOne({ _id: 1, text: "int" });
    await client.withSession((session) =>
      // At once: the lookup of the update meets the document that follows.
      session.withTransaction(async () => {
        await notes().updateOne({ _id: 1 }, { $set: { text: "changed" } }, { session });
        await notes().deleteOne({ _id: 1 }, { session });
        await notes().insertOne({ _id: new BSON.Double(1), text: "double" }, { session });
      }),
    );
    await equal(run, notes());
  });
});

describe("what is captured", () => {
  it("is what the filter matches: what leaves it is deleted, what never did is not told", async () => {
    const wanted = { status: "public", "author.age": { $gte: 18 } };
    const filter = { $or: [wanted, { kind: "mark" }] };
    const author = { age: 20 };
    await notes().insertMany([
      { _id: "in", status: "public", author },
      { _id: "out", status: "draft", author },
    ]);
    const run = await following({ filter });
    await notes().insertOne({ _id: "new", status: "draft", author });
    await notes().updateOne({ _id: "in" }, { $set: { "author.age": 17 } });
    await notes().updateOne({ _id: "out" }, { $set: { status: "public" } });
    await notes().replaceOne(
      { _id: "out" },
      { status: "public", author: [{ age: 1 }, { age: 30 }] },
    );
    await marked(run);
    assert.deepEqual(lines(run.events), [
      'upserted "in"',
      "cleared sweep",
      'deleted "in"',
      'upserted "out"',
      'upserted "out"',
    ]);
  });

  it("is what the projection leaves, in the copy and in the stream", async () => {
    const document = { title: "t", body: "b", list: [{ a: 1, b: 2 }, 3], deep: { x: 1, y: 2 } };
    const cases = [
      {
        projection: { title: 1, "list.a": 1, "deep.x": 1 },
        left: { title: "t", list: [{ a: 1 }], deep: { x: 1 } },
      },
      {
        projection: { body: 0, "list.a": 0, deep: false, _id: 0 },
        left: { title: "t", list: [{ b: 2 }, 3] },
      },
      { projection: { _id: 1 }, left: {} },
    ];
    for (const { projection, left } of cases)
      for (const filter of [
        undefined,
        { $or: [{ title: "t" }, { kind: "mark" }], body: { $ne: 5 } },
      ]) {
        place = fakes.state();
        await notes().insertOne({ _id: "copied", ...document });
        const run = await following({ projection, ...(filter && { filter }) });
        await notes().insertOne({ _id: "inserted", ...document });
        await notes().updateOne({ _id: "copied" }, { $set: { "deep.y": 3 } });
        await marked(run);
        const ids = (_id: string) => ("_id" in projection && !projection._id ? {} : { _id });
        const changes = aboutNotes(run.events).flatMap((event) =>
          event.type === "dev.sluice.record.upserted" ? event.data.after : [],
        );
        assert.deepEqual(changes, [
          { ...ids("copied"), ...left },
          { ...ids("inserted"), ...left },
          { ...ids("copied"), ...left },
        ]);
        await run.stop();
        await notes().drop();
      }
  });

  it("goes through the user's stages, in the copy as in the stream", async () => {
    const pipeline = [
      { $match: { operationType: { $ne: "delete" }, "documentKey._id": { $ne: "hidden" } } },
      { $set: { "fullDocument.shout": { $toUpper: "$fullDocument.text" } } },
      { $unset: ["fullDocument.secret"] },
    ];
    const insert = (_id: string) => notes().insertOne({ _id, text: "hi", secret: 1 });
    await insert("copied");
    await insert("hidden");
    const run = await following({ pipeline, chunkDocuments: 1 });
    await insert("inserted");
    await notes().updateOne({ _id: "hidden" }, { $set: { text: "changed" } });
    await notes().deleteOne({ _id: "copied" });
    await run.stop();
    // Gone when it is looked up: the stages make a document of nothing, which is none.
    await notes().updateOne({ _id: "inserted" }, { $set: { text: "gone" } });
    await notes().deleteOne({ _id: "inserted" });
    const again = await following({ pipeline });
    await notes().drop();
    await again.until((events) => lines(events).includes("cleared drop"));
    assert.deepEqual(lines([...run.events, ...again.events]), [
      'upserted "copied"',
      "cleared sweep",
      'upserted "inserted"',
      'deleted "inserted"',
      "cleared drop",
    ]);
    const [first, , second] = aboutNotes(run.events);
    for (const event of [first, second]) {
      assert.ok(event?.type === "dev.sluice.record.upserted");
      assert.deepEqual({ ...event.data.after, _id: 0 }, { _id: 0, text: "hi", shout: "HI" });
    }
  });
});

describe("the position", () => {
  it("M15: of a silent collection moves while others are busy", async () => {
    const run = await start(config({ collections: [notes().namespace], heartbeatMs: 100 }), place);
    const position = async () => {
      const [entry] = await place.state.get(["checkpoint"]);
      return (entry?.value as { position: { token: string } } | undefined)?.position.token ?? "";
    };
    await eventually(async () => (await position()) !== "");
    const before = await position();
    const count = run.events.length;
    await eventually(async () => {
      await posts().insertOne({});
      return (await position()) > before;
    });
    assert.equal(run.events.length, count);
  });

  it("is one to resume from, whatever type its key is of", async () => {
    const { Double, Long, Decimal128 } = BSON;
    const keys = [
      new Double(1.5),
      Long.fromNumber(7),
      Decimal128.fromString("1.10"),
      new Double(-0),
    ];
    await (await following()).stop();
    for (const _id of keys) {
      const run = await start(config(), place, { killWhen: (events) => events.length > 1 });
      await notes().insertOne({ _id });
      await run.until((events) => lines(events).length === 1);
      await run.stop();
    }
    const run = await following();
    assert.deepEqual(lines(run.events), []);
  });

  it("is that of the last event, however many come at once", async () => {
    const run = await following();
    await notes().insertMany(
      Array.from({ length: 3_500 }, (_, at) => ({ _id: at, body: "x".repeat(900) })),
    );
    await equal(run, notes());
    assert.ok(run.batches.every(({ events }) => events.length <= 1_000));
    await run.stop();
    const again = await following();
    assert.deepEqual(lines(again.events), []);
  });
});
