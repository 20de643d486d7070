import assert from "node:assert/strict";
import { BSON } from "mongodb";
import { isRecordChange, type SluiceEvent } from "sluice";
import { fakes, type FakeState } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, it } from "vitest";
import { startMongod } from "../../../test/mongod.ts";
import {
  ascending,
  connector,
  equal,
  eventually,
  held,
  inside,
  told,
  type Key,
  type Loose,
} from "./harness.ts";

const set = await startMongod({ oplogMB: 200, cacheGB: 1 });
const client = set.client();
const { start, stopAll } = connector(set);
afterAll(() => set.stop());
afterEach(stopAll);

let number = 0;
let place: FakeState;
let db = client.db("d0");
beforeEach(() => {
  number += 1;
  db = client.db(`d${number}`);
  place = fakes.state();
});
const notes = () => db.collection<Loose>("notes");
const config = (more: Record<string, unknown> = {}) => ({
  collections: [`${db.databaseName}.notes`],
  chunkDocuments: 3,
  ...more,
});
const fill = (count: number, from = 0) =>
  notes().insertMany(
    Array.from({ length: count }, (_, at) => ({ _id: from + at, body: `text ${from + at}` })),
  );
const reads = (events: readonly SluiceEvent[]) =>
  events
    .filter(isRecordChange)
    .flatMap((event) =>
      event.type === "dev.sluice.record.upserted" && event.data.op === "read" ? event.subject : [],
    );
const isSwept = (events: readonly SluiceEvent[]) =>
  events.some((event) => event.type === "dev.sluice.collection.cleared");

describe("a copy", () => {
  it("M1: killed after its second chunk, goes on behind it", async () => {
    await fill(10);
    const first = await start(config({ parallel: 1 }), place, {
      killWhen: (events) => reads(events).length > 6,
    });
    await first.ended;
    const done = reads(first.events.slice(0, 6));
    const second = await start(config({ parallel: 1 }), place);
    await second.until(isSwept);
    assert.deepEqual(
      reads(second.events).filter((key) => done.includes(key)),
      [],
    );
    assert.equal(reads(second.events).length, 4);
  });

  it("M2: that is over is not made again", async () => {
    await fill(10);
    const first = await start(config(), place);
    await first.until(isSwept);
    await eventually(() => first.progress.at(-1)?.phase === "streaming");
    await first.stop();
    for (const text of ["one", "two"]) {
      const run = await start(config(), place);
      await notes().updateOne({ _id: 1 }, { $set: { body: text } });
      await run.until((events) => events.length > 0);
      assert.deepEqual(told(run.events, notes().namespace), ['upserted {"$numberInt":"1"}']);
      await run.stop();
    }
  });

  it("M3: with changes on both sides of it, equals the collection, and nothing comes back", async () => {
    await fill(200);
    const run = await start(config({ parallel: 2, chunkDocuments: 5 }), place);
    let next = 1_000;
    const random = (limit: number) => Math.floor(Math.random() * limit);
    const deleted = new Set<string>();
    for (let step = 0; step < 400; step++) {
      const _id = random(200);
      const kind = random(4);
      if (kind === 0) await notes().insertOne({ _id: (next += 1), body: `new ${step}` });
      else if (kind === 1) {
        await notes().deleteOne({ _id });
        deleted.add(`{"$numberInt":"${_id}"}`);
      } else await notes().updateOne({ _id }, { $set: { body: `changed ${step}` } });
    }
    await run.until(isSwept);
    await equal(run, notes());
    for (const key of deleted) {
      const all = told(run.events, notes().namespace).filter((line) => line.endsWith(key));
      assert.ok(all.length === 0 || all.at(-1)?.startsWith("deleted"), all.join());
    }
  });

  it("M4: of an empty collection, killed before any event, loses nothing that comes then", async () => {
    await db.createCollection("notes");
    for (const snapshot of ["initial", "never"]) {
      const state = fakes.state();
      const first = await start(config({ snapshot }), state);
      await eventually(() => first.batches.length > 0);
      await first.stop();
      await notes().insertOne({ _id: snapshot });
      const run = await start(config({ snapshot }), state);
      await run.until((events) =>
        told(events, notes().namespace).includes(`upserted "${snapshot}"`),
      );
    }
  });

  it("M7: of a database that does not exist yet is no error", async () => {
    const run = await start(config(), place);
    await eventually(() => run.batches.length > 0);
    await fill(3);
    await equal(run, notes());
  });

  it("reads ids of every type, in ranges", async () => {
    const { Double, Long, Decimal128, MinKey, MaxKey, Binary, ObjectId, Timestamp, Code } = BSON;
    const ids = [
      new MinKey(),
      null,
      new Double(Number.NaN),
      new Double(-0),
      Long.fromNumber(7),
      8,
      new Double(8.5),
      Decimal128.fromString("9.90"),
      new Double(Infinity),
      "a",
      "B",
      "1",
      1,
      "",
      { a: 1 },
      { b: 1, a: 2 },
      { a: 2, b: 1 },
      { 2: 1, 1: 2 },
      {},
      new Binary(Buffer.from("x")),
      new BSON.UUID(),
      new ObjectId(),
      "65f0c0ffee0123456789abcd",
      new ObjectId("65f0c0ffee0123456789abcd"),
      true,
      false,
      new Date(0),
      new Date(1.7e12),
      new Timestamp({ t: 5, i: 1 }),
      new Code("x"),
      new MaxKey(),
    ];
    await notes().insertMany(ids.map((_id) => ({ _id: _id as Key })));
    await fill(60, 100);
    await notes().insertMany(Array.from({ length: 60 }, () => ({ _id: new ObjectId() })));
    await notes().insertMany(Array.from({ length: 60 }, (_, at) => ({ _id: `s${at}` })));
    for (const parallel of [1, 4, 16]) {
      const run = await start(config({ parallel }), fakes.state());
      await run.until(isSwept);
      const wanted = await inside(notes());
      assert.deepEqual(
        [...wanted.keys()].filter((key) => !reads(run.events).includes(key)),
        [],
      );
      assert.equal(reads(run.events).length, ids.length + 180, "each once");
      assert.equal(new Set(reads(run.events)).size, ids.length + 180, "all different");
      await equal(run, notes());
      await run.stop();
    }
  });

  it("killed at any batch, goes on in every range", async () => {
    await fill(100);
    let starts = 0;
    for (let isOver = false; !isOver; starts++) {
      const run = await start(config({ parallel: 4 }), place, {
        killWhen: (events) => reads(events).length > 5,
      });
      await Promise.race([run.ended, run.until(isSwept).catch(() => {})]);
      isOver = isSwept(run.events);
      await run.stop();
    }
    assert.ok(starts > 5, `${starts} starts`);
    const run = await start(config(), place);
    await notes().insertOne({ _id: "last" });
    await run.until((events) => events.length > 0);
    assert.equal(told(run.events, notes().namespace).join(), 'upserted "last"');
  });

  it("waits for a slow stream: versions rise, and what is dropped meanwhile stays away", async () => {
    const slow = (mode: string) =>
      client.db("admin").command({
        configureFailPoint: "failCommand",
        mode,
        data: {
          failCommands: ["getMore"],
          blockConnection: true,
          blockTimeMS: 200,
          appName: "sluice",
        },
      });
    await fill(60);
    await slow("alwaysOn");
    try {
      const run = await start(config({ parallel: 2 }), place);
      for (let step = 0; !isSwept(run.events); step++) {
        const _id = step % 60;
        if (step % 9 === 0) await notes().deleteOne({ _id });
        else await notes().replaceOne({ _id }, { body: `changed ${step}` }, { upsert: true });
      }
      await equal(run, notes());
      for (let round = 0; round < 3; round++) {
        const before = run.events.length;
        await run.request({ id: `${round}` });
        await run.until(({ length }) => length > before + 5);
        await notes().drop();
        await fill(20, 100 * round);
        await eventually(() =>
          run.batches.some(({ completes }) => completes?.includes(`${round}`)),
        );
        await equal(run, notes());
      }
    } finally {
      await slow("off");
    }
  });

  it("tells how far it is", async () => {
    await fill(50);
    const run = await start(config(), place);
    await run.until(isSwept);
    const said = run.progress.filter(({ phase }) => phase === "snapshot");
    const done = said.map((one) => one.done ?? 0);
    assert.deepEqual(
      done,
      done.toSorted((a, b) => a - b),
    );
    assert.deepEqual([said.at(-1)?.done, said.at(-1)?.total], [50, 50]);
  });

  it("of all collections of a database, and of several databases", async () => {
    const other = client.db(`${db.databaseName}x`);
    await fill(5);
    await db.collection<Loose>("posts").insertOne({ a: 1 });
    await other.collection<Loose>("a.b.c").insertOne({ a: 2 });
    await db.createCollection("view", { viewOn: "notes", pipeline: [] });
    await db.createCollection("series", { timeseries: { timeField: "at" } });
    const collections = [`${db.databaseName}.*`, `${db.databaseName}x.a.*`];
    const run = await start({ collections }, place);
    await run.until((events) => held(events).size === 3);
    await equal(run, notes());
    await equal(run, db.collection<Loose>("posts"));
    await equal(run, other.collection<Loose>("a.b.c"));
    await other.collection<Loose>("a.z").insertOne({ a: 3 });
    await other.collection<Loose>("b").insertOne({ a: 3 });
    await equal(run, other.collection<Loose>("a.z"));
    assert.deepEqual(
      [...held(run.events).keys()].filter((name) => name.endsWith(".b")),
      [],
    );
  });

  it("of a collection with a collation, a clustered one and a capped one", async () => {
    const kinds = {
      folded: { collation: { locale: "en", strength: 2 } },
      clustered: { clusteredIndex: { key: { _id: 1 as const }, unique: true } },
      capped: { capped: true, size: 1e6 },
    };
    for (const [name, options] of Object.entries(kinds)) {
      const collection = await db.createCollection<Loose>(name, options);
      const ids = ["a", "B", "c", 1, 2, 3, "D", "e"];
      await collection.insertMany(ids.map((_id) => ({ _id, kind: name })));
      const filter = { kind: name };
      const run = await start(
        config({ collections: [collection.namespace], filter }),
        fakes.state(),
      );
      await run.until(isSwept);
      await equal(run, collection);
      await collection.insertOne({ _id: "F", kind: name });
      await equal(run, collection);
      await run.stop();
    }
  });

  it("of documents of 16 MB", { timeout: 60_000 }, async () => {
    const body = "x".repeat(16 * 1024 * 1024 - 100);
    for (let _id = 0; _id < 3; _id++) await notes().insertOne({ _id: _id, body });
    await fill(4, 10);
    const run = await start(config({ parallel: 1 }), place);
    await run.until(isSwept);
    assert.equal(reads(run.events).length, 7);
    assert.equal(
      held(run.events).get(notes().namespace)?.get('{"$numberInt":"2"}')?.["body"],
      body,
    );
  });
});

describe("a snapshot on request", () => {
  it("reads again what is asked for, sweeps what is gone, and is completed", async () => {
    await fill(5);
    await db.collection<Loose>("posts").insertOne({ a: 1 });
    const run = await start(config({ collections: [`${db.databaseName}.*`] }), place);
    await run.until((events) => events.filter((one) => one.subject === "*").length === 2);
    const before = run.events.length;
    await run.request({ id: "one", collections: [notes().namespace] });
    await eventually(() => run.batches.some(({ completes }) => completes?.includes("one")));
    const lines = run.events.slice(before).map(({ source }) => source);
    assert.ok(lines.every((source) => source.endsWith(".notes")));
    assert.equal(lines.length, 6);
    await run.request({ id: "two", audience: "newcomer" });
    await eventually(() => run.batches.some(({ completes }) => completes?.includes("two")));
    const late = run.events.slice(before + 6);
    assert.equal(late.length, 8);
    assert.ok(late.every(({ audience }) => audience === "newcomer"));
    ascending(run.events);
  });

  it("that a restart interrupts goes on, when asked again by the same id", async () => {
    await fill(30);
    const first = await start(config({ parallel: 1 }), place);
    await first.until(isSwept);
    await eventually(() => first.progress.at(-1)?.phase === "streaming");
    await first.stop();
    const killed = await start(config({ parallel: 1 }), place, {
      killWhen: (events) => reads(events).length > 20,
    });
    await killed.request({ id: "again" });
    await killed.ended;
    const run = await start(config({ parallel: 1 }), place);
    await run.request({ id: "again" });
    await eventually(() => run.batches.some(({ completes }) => completes?.includes("again")));
    const count = reads(run.events).length;
    assert.ok(count >= 9 && count < 15, `${count} read after the restart`);
    assert.equal(run.events.filter(({ subject }) => subject === "*").length, 1);
  });

  it("of what does not exist yet is completed all the same, of what is not captured refused", async () => {
    const run = await start({ ...config(), collections: ["shop.*"] }, place);
    await run.request({ id: "none", collections: ["shop.nothing"] });
    await eventually(() => run.batches.some(({ completes }) => completes?.includes("none")));
    await run.request({ id: "other", collections: ["shop.nothing", "blog.posts"] });
    await eventually(async () => (await run.pending()).length === 0);
    const [refused] = run.lines.filter(({ message }) => message === "snapshot refused");
    assert.deepEqual(refused?.fields, {
      request: "other",
      code: "mongodb.not-captured",
      message: "mongodb: no captured collection is blog.posts.",
      fix: "Name one of what is captured, as `database.collection`: shop.*.",
    });
  });
});

it("the subject is the canonical key, whatever the dialect", async () => {
  await notes().insertOne({ _id: new BSON.Double(2), at: new Date(5) });
  for (const json of ["relaxed", "canonical", "plain"]) {
    const run = await start(config({ json }), fakes.state());
    await run.until(isSwept);
    const [event] = run.events;
    assert.ok(event && isRecordChange(event) && event.type === "dev.sluice.record.upserted");
    assert.equal(event.subject, '{"$numberDouble":"2.0"}');
    assert.deepEqual(event.data.key, { _id: { $numberDouble: "2.0" } });
    assert.equal(event.source, `/mongodb/shop/${notes().namespace}`);
    const at = {
      relaxed: { $date: "1970-01-01T00:00:00.005Z" },
      canonical: { $date: { $numberLong: "5" } },
      plain: "1970-01-01T00:00:00.005Z",
    }[json];
    assert.deepEqual(event.data.after["at"], at);
    await run.stop();
  }
  assert.equal((await inside(notes())).size, 1);
});
