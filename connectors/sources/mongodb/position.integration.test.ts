import assert from "node:assert/strict";
import { PositionLostError, isRecordChange, type SluiceEvent } from "sluice";
import { fakes, type FakeState } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, it } from "vitest";
import { startMongod } from "../../../test/mongod.ts";
import { connector, equal, eventually, held, told, type Loose } from "./harness.ts";
import type { Checkpoint } from "./checkpoint.ts";

const set = await startMongod({ oplogMB: 1 });
const client = set.client();
const { start, stopAll } = connector(set);
afterAll(() => set.stop());
afterEach(stopAll);

let number = 0;
let place: FakeState;
let db = client.db("p0");
beforeEach(() => {
  number += 1;
  db = client.db(`p${number}`);
  place = fakes.state();
});
const notes = () => db.collection<Loose>("notes");
const config = (more: Record<string, unknown> = {}) => ({
  collections: [`${db.databaseName}.*`],
  ...more,
});
const lines = (events: readonly SluiceEvent[]) => told(events, notes().namespace);

async function copied(more: Record<string, unknown> = {}) {
  const run = await start(config(more), place);
  await run.until((events) => events.some(({ subject }) => subject === "*"));
  await eventually(() => run.progress.at(-1)?.phase === "streaming");
  await equal(run, notes());
  await run.stop();
  return run.events;
}

async function stored(): Promise<Checkpoint> {
  const [entry] = await place.state.get(["checkpoint"]);
  return entry?.value as Checkpoint;
}

const store = (checkpoint: unknown) =>
  place.state.each([{ key: "checkpoint", value: checkpoint as never }]);

/** Writes until the oplog has forgotten what was before. */
async function rollOver() {
  const oplog = client.db("local").collection("oplog.rs");
  const oldest = async () => (await oplog.findOne({}, { sort: { $natural: 1 } }))?.["ts"];
  const { operationTime } = await client.db("admin").command({ ping: 1 });
  const other = client.db("noise").collection("noise");
  await eventually(async () => {
    await other.insertMany(Array.from({ length: 10 }, () => ({ body: "n".repeat(100_000) })));
    return (await oldest()).greaterThan(operationTime);
  });
}

describe("a position that the oplog no longer holds", { timeout: 60_000 }, () => {
  it("M8: stops the source and says what is lost, telling nothing", async () => {
    await notes().insertMany([{ _id: 1 }, { _id: 2 }]);
    await copied();
    const before = await stored();
    await rollOver();
    for (let time = 0; time < 2; time++) {
      const run = await start(config(), place);
      await assert.rejects(run.ended, (error) => {
        assert.ok(error instanceof PositionLostError);
        assert.equal(error.code, "mongodb.position-lost");
        assert.match(error.message, /after 20\d\d-.*the oldest left is of 20\d\d-/);
        return true;
      });
      assert.deepEqual(run.events, []);
      assert.deepEqual(await stored(), before);
    }
  });

  it("M9: is made up for by reading again: what went in the gap goes, whole collections too", async () => {
    const posts = db.collection<Loose>("posts");
    await notes().insertMany(
      Array.from({ length: 10 }, (_, _id) => ({ _id, body: `text ${_id}` })),
    );
    await posts.insertOne({ _id: 1 });
    const before = await copied();
    await notes().deleteMany({ _id: { $in: [3, 4] } });
    await notes().updateOne({ _id: 5 }, { $set: { body: "changed" } });
    await posts.drop();
    await rollOver();
    const lost = await start(config(), place);
    await assert.rejects(lost.ended, PositionLostError);
    await store(undefined);
    const run = await start(config(), place);
    await run.until((events) => events.filter(({ subject }) => subject === "*").length === 2);
    const all = held([...before, ...run.events]);
    assert.deepEqual(
      new Set([...(all.get(notes().namespace) ?? [])].map(([, after]) => after["_id"])),
      new Set([0, 1, 2, 5, 6, 7, 8, 9]),
    );
    assert.equal(all.get(posts.namespace)?.size, 0);
    const versions = new Map<string, string>();
    for (const event of [...before, ...run.events].filter(isRecordChange)) {
      if (event.subject === "*") continue;
      assert.ok(event.sequence > (versions.get(event.source + event.subject) ?? ""));
      versions.set(event.source + event.subject, event.sequence);
    }
  });

  it("M15: is not that of a silent collection, whose position moves on", async () => {
    await notes().insertOne({ _id: 1 });
    const run = await start(config({ heartbeatMs: 100 }), place);
    await equal(run, notes());
    await eventually(() => run.progress.at(-1)?.phase === "streaming");
    await rollOver();
    const before = run.batches.length;
    await eventually(() => run.batches.length > before);
    await run.stop();
    await notes().insertOne({ _id: 2 });
    const again = await start(config({ heartbeatMs: 100 }), place);
    await again.until((events) => events.length > 0);
    assert.deepEqual(lines(again.events), ['upserted {"$numberInt":"2"}']);
  });

  it("is made up for also by a source that never copies", async () => {
    await notes().insertOne({ _id: 1 });
    const run = await start(config({ snapshot: "never" }), place);
    await eventually(() => run.batches.length > 0);
    await run.stop();
    assert.deepEqual(run.events, []);
    await notes().insertOne({ _id: 2 });
    await store(undefined);
    const again = await start(config({ snapshot: "never" }), place);
    await equal(again, notes());
  });

  it("is not needed for a copy of what was passed over, once the config wants it", async () => {
    await notes().insertMany([{ _id: 1 }, { _id: 2 }]);
    for (let starts = 0; starts < 2; starts++) {
      const never = await start(config({ snapshot: "never", heartbeatMs: 100 }), place);
      await eventually(() => never.batches.length > 0);
      await notes().insertOne({ _id: 10 + starts });
      await never.until((events) => events.length > 0);
      assert.deepEqual(lines(never.events), [`upserted {"$numberInt":"${10 + starts}"}`]);
      await never.stop();
    }
    const initial = await start(config(), place);
    await equal(initial, notes());
    await initial.stop();
    const again = await start(config({ snapshot: "never", heartbeatMs: 100 }), place);
    await notes().insertOne({ _id: 20 });
    await again.until((events) => events.length > 0);
    assert.deepEqual(lines(again.events), ['upserted {"$numberInt":"20"}']);
  });
});

describe("a checkpoint", () => {
  it("M10: with a token that is none is a lost position, not a new start", async () => {
    await notes().insertOne({ _id: 1 });
    await copied();
    const good = await stored();
    const { token } = good.position as { token: string };
    const bad = ["zz", "", "82", token.slice(0, 20), `81${token.slice(2)}`];
    for (const one of bad) {
      await store({ ...good, position: { token: one } });
      const run = await start(config(), place);
      const error = { name: "PositionLostError", code: "mongodb.token-invalid" };
      await assert.rejects(run.ended, error, one);
      assert.deepEqual(run.events, []);
    }
    await store(good);
    const run = await start(config(), place);
    await notes().insertOne({ _id: 2 });
    await run.until((events) => events.length > 0);
    assert.deepEqual(lines(run.events), ['upserted {"$numberInt":"2"}']);
  });

  it("M10: of another filter goes on by its time, and reads again what now looks otherwise", async () => {
    const [a, b] = [{ kind: "a" }, { kind: "b" }];
    await notes().insertMany([
      { _id: 1, ...a },
      { _id: 2, ...b },
      { _id: 3, ...a },
    ]);
    const first = await start(config({ filter: a }), place);
    await first.until((events) => lines(events).includes("cleared sweep"));
    await eventually(() => first.progress.at(-1)?.phase === "streaming");
    await first.stop();
    await notes().insertMany([
      { _id: 4, ...b },
      { _id: 5, ...a },
    ]);
    await notes().deleteOne({ _id: 3 });
    const run = await start(config({ filter: b }), place);
    await run.until((events) => lines(events).includes("cleared sweep"));
    const all = held([...first.events, ...run.events]).get(notes().namespace) ?? new Map();
    assert.deepEqual(new Set([...all.values()].map(({ _id }) => _id)), new Set([2, 4]));
    // The stream is not begun anew at now: it tells what happened meanwhile.
    assert.ok(lines(run.events).includes('deleted {"$numberInt":"3"}'));
  });

  it("of other collections reads the new ones and gives up the old ones", async () => {
    const posts = db.collection<Loose>("posts");
    await notes().insertOne({ _id: 1 });
    await posts.insertOne({ _id: 1 });
    const before = await copied({ collections: [notes().namespace] });
    await posts.insertOne({ _id: 2 });
    const run = await start(config({ collections: [posts.namespace] }), place);
    await equal(run, posts);
    await run.until((events) => lines(events).includes("cleared sweep"));
    const all = held([...before, ...run.events]);
    assert.equal(all.get(notes().namespace)?.size, 0);
    assert.equal(all.get(posts.namespace)?.size, 2);
  });

  it("of another deployment, or of its future, is a lost position; versions then begin above", async () => {
    await notes().insertOne({ _id: 1 });
    const [first] = (await copied()).filter(isRecordChange);
    const good = await stored();
    const foreign = { ...good, bound: { ...good.bound, deployment: "rs7" } };
    const copy = { ...good, bound: { ...good.bound, id: "65f0c0ffee0123456789abcd" } };
    const future = { ...good, position: { token: "82FFFFFFFF000000012B0229296E04" } };
    let epoch = 1;
    for (const one of [foreign, copy, future]) {
      for (let time = 0; time < 2; time++) {
        await store(one);
        const run = await start(config(), place);
        const error = { name: "PositionLostError", code: "mongodb.position-foreign" };
        await assert.rejects(run.ended, error);
      }
      await store(undefined);
      const run = await start(config(), place);
      await equal(run, notes());
      const [again] = run.events.filter(isRecordChange);
      epoch += 1;
      assert.equal(Number.parseInt(again?.sequence.slice(0, 8) ?? "", 16), epoch);
      assert.ok((again?.sequence ?? "") > (first?.sequence ?? "~"));
      await run.stop();
    }
  });
});
