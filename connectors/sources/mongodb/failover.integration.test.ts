import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { MongoClient } from "mongodb";
import { fakes, type FakeState } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, it } from "vitest";
import { startMongod, type Member } from "../../../test/mongod.ts";
import { connector, equal, eventually, told, type Loose } from "./harness.ts";

const set = await startMongod({ members: 3, oplogMB: 100 });
const quick = {
  serverSelectionTimeoutMS: 30_000,
  heartbeatFrequencyMS: 500,
  connectTimeoutMS: 1_000,
};
const client = set.client(quick);
const { start, stopAll } = connector(set);
afterAll(() => set.stop());
afterEach(async () => {
  for (const stop of loads.splice(0)) await stop();
  await stopAll();
  for (const member of set.members) await member.kill("SIGCONT").then(member.start);
  await healed();
});

let number = 0;
let place: FakeState;
let db = client.db("f0");
beforeEach(() => {
  number += 1;
  db = client.db(`f${number}`, { writeConcern: { w: "majority" } });
  place = fakes.state();
});
const notes = () => db.collection<Loose>("notes");
const config = (more: Record<string, unknown> = {}) => ({
  collections: [notes().namespace],
  ...more,
});

const loads: (() => Promise<void>)[] = [];

/** Writes all the time, and again what an election refused. */
function load() {
  const collection = notes();
  let isOver = false;
  let written = 0;
  const work = async () => {
    while (!isOver) {
      const _id = written % 50;
      const body = `text ${written}`;
      try {
        if (written % 7 === 6) await collection.deleteOne({ _id });
        else await collection.replaceOne({ _id }, { body }, { upsert: true });
        written += 1;
      } catch {
        await sleep(50); // an election: the same again
      }
    }
  };
  const done = work();
  const stop = async () => {
    isOver = true;
    await done;
  };
  loads.push(stop);
  return { written: () => written, stop };
}

/** Until somebody takes it. */
async function insert(_id: string) {
  const put = () => notes().replaceOne({ _id }, { body: _id }, { upsert: true });
  await eventually(() => put().then(Boolean, () => false));
}

async function ask(member: Member, command: Record<string, unknown>) {
  const one = new MongoClient(member.url);
  try {
    return await one.db("admin").command(command);
  } finally {
    await one.close();
  }
}

/** All three are there again, one of them primary. */
async function healed() {
  await eventually(async () => {
    const states = await Promise.all(
      set.members.map((member) =>
        ask(member, { hello: 1 }).then(
          ({ isWritablePrimary, secondary }) => (isWritablePrimary ? 1 : secondary ? 2 : 0),
          () => 0,
        ),
      ),
    );
    return states.includes(1) && !states.includes(0);
  });
}

describe("M19: the stream goes on, nothing lost and in order,", { timeout: 90_000 }, () => {
  it("when the primary steps down", async () => {
    const run = await start(config(), place);
    const writing = load();
    await run.until((events) => events.length > 100);
    await ask(await set.primary(), { replSetStepDown: 5, force: true });
    const before = writing.written();
    await eventually(() => writing.written() > before + 200);
    await writing.stop();
    await equal(run, notes());
  });

  it("when sockets are cut and cursors lost, whatever it was doing", async () => {
    const run = await start(config(), place);
    const writing = load();
    const warnings = () => run.lines.filter(({ level }) => level === "warn");
    const failures = [
      { failCommands: ["getMore"], closeConnection: true },
      { failCommands: ["getMore"], errorCode: 43 },
      { failCommands: ["getMore"], errorCode: 10_107, errorLabels: ["ResumableChangeStreamError"] },
      { failCommands: ["aggregate", "getMore"], closeConnection: true },
      { failCommands: ["getMore"], errorCode: 11_600 },
    ];
    for (const data of failures) {
      const times = { times: 4 };
      const appName = "sluice";
      const command = {
        configureFailPoint: "failCommand",
        mode: times,
        data: { ...data, appName },
      };
      const warned = warnings().length;
      // On all of them: an election may be due.
      for (const member of set.members) await ask(member, command);
      await eventually(() => warnings().length > warned);
      const before = run.events.length;
      await run.until(({ length }) => length > before + 30);
    }
    await writing.stop();
    for (const member of set.members)
      await ask(member, { configureFailPoint: "failCommand", mode: "off" });
    await equal(run, notes());
  });

  for (const signal of ["SIGKILL", "SIGSTOP"] as const)
    it(`within 5 s of a new primary, when the old one gets ${signal}`, async () => {
      const run = await start(config(), place);
      await eventually(() => run.progress.at(-1)?.phase === "streaming");
      const primary = await set.primary();
      await primary.kill(signal);
      await insert("after");
      const written = performance.now();
      await run.until((events) => told(events, notes().namespace).includes('upserted "after"'));
      const tookMs = performance.now() - written;
      assert.ok(tookMs < 5_000, `${tookMs} ms`);
      await primary.kill("SIGCONT").then(primary.start);
      await healed();
      await equal(run, notes());
    });

  it("when primaries are killed while it copies", async () => {
    await notes().insertMany(Array.from({ length: 3_000 }, (_, at) => ({ _id: 1_000 + at })));
    const run = await start(config({ chunkDocuments: 20 }), place);
    await run.until(({ length }) => length > 0);
    const writing = load();
    const primary = await set.primary();
    await primary.kill();
    const before = writing.written();
    await eventually(() => writing.written() > before + 50);
    await writing.stop();
    await equal(run, notes());
  });

  it("and never tells what a majority never had", async () => {
    await notes().insertOne({ _id: "first" });
    const run = await start(config(), place);
    await equal(run, notes());
    const primary = await set.primary();
    const others = set.members.filter((member) => member !== primary);
    const failpoint = (mode: string) =>
      Promise.all(others.map((one) => ask(one, { configureFailPoint: "stopReplProducer", mode })));
    await failpoint("alwaysOn");
    const direct = new MongoClient(primary.url);
    const lost = direct.db(db.databaseName).collection<Loose>("notes");
    await lost.insertOne({ _id: "lost" }, { writeConcern: { w: 1 } });
    await direct.close();
    await sleep(1_500); // the stream would have told it by now
    await primary.kill();
    await failpoint("off");
    await insert("last");
    await run.until((events) => told(events, notes().namespace).includes('upserted "last"'));
    await primary.start();
    await healed();
    await equal(run, notes());
    assert.ok(!told(run.events, notes().namespace).includes('upserted "lost"'));
  });
});
