import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { SluiceEvent } from "sluice";
import { fakes } from "sluice/testing";
import type { ClientSession } from "mongodb";
import { afterAll, afterEach, it } from "vitest";
import { startMongod } from "../../../test/mongod.ts";
import { connector, eventually, held, inside, sorted, type Loose } from "./harness.ts";

const set = await startMongod({ oplogMB: 200 });
const [server] = set.members;
const client = set.client({ serverSelectionTimeoutMS: 5_000 });
const { start, stopAll } = connector(set);
afterAll(() => set.stop());
afterEach(stopAll);

const below = (limit: number) => Math.floor(Math.random() * limit);

/** Changes of every kind, as fast as the server takes them. */
function load(database: string, names: readonly string[]) {
  const db = client.db(database, { writeConcern: { w: "majority", j: true } });
  let isOver = false;
  // Not `withTransaction`: it tries again for two minutes.
  const transaction = (what: (session: ClientSession) => Promise<unknown>) =>
    client.withSession(async (session) => {
      session.startTransaction();
      await what(session);
      await session.commitTransaction();
    });
  const change = async (step: number) => {
    const collection = db.collection<Loose>(names[below(names.length)] ?? "a");
    const _id = below(80);
    switch (below(40)) {
      case 0:
        return collection.drop();
      case 1:
        return collection.rename(names[below(names.length)] ?? "a", { dropTarget: true });
      case 2:
        return collection.insertMany(
          Array.from({ length: 200 }, (_, at) => ({ _id: 100 + step * 200 + at, body: "many" })),
        );
      case 3:
        return collection.deleteMany({ body: "many" });
      case 4:
        return transaction(async (session) => {
          await collection.updateOne({ _id }, { $set: { step } }, { upsert: true, session });
          await collection.updateOne({ _id: _id + 1 }, { $set: { step } }, { session });
          await collection.updateOne({ _id }, { $set: { step: -step } }, { session });
        });
      default:
        if (below(3) === 0) return collection.deleteOne({ _id });
        return collection.replaceOne({ _id }, { body: `text ${step}` }, { upsert: true });
    }
  };
  const work = async () => {
    for (let step = 0; !isOver; step++) await change(step).catch(() => sleep(20)); // no such collection, or no server just now
  };
  const done = Promise.all([work(), work()]);
  return {
    stop: async () => {
      isOver = true;
      await done;
    },
  };
}

for (let round = 0; round < 4; round++)
  it(
    `what is held equals what is there after kills of the source and of mongod, round ${round}`,
    { timeout: 120_000 },
    async () => {
      assert.ok(server);
      const database = `chaos${round}`;
      const names = ["a", "b", "c"];
      const config = {
        collections: [`${database}.*`],
        chunkDocuments: 20,
        fullDocument: round % 2 === 0 ? "updateLookup" : "batchLookup",
      };
      const place = fakes.state();
      const published: SluiceEvent[] = [];
      const writing = load(database, names);
      for (let kill = 0; kill < 8; kill++) {
        const limit = below(400);
        const run = await start(config, place, { killWhen: (events) => events.length > limit });
        if (kill % 3 === 2) {
          await sleep(below(300)); // mongod dies at any moment, not at one that we know
          await server.kill();
          await server.start();
        }
        if (kill % 4 === 3) await run.request({ id: `request ${kill}` });
        await run.ended.catch(() => {}); // mongod was away: the runner starts it again
        published.push(...run.events);
      }
      await writing.stop();
      const last = await start(config, place);
      const db = client.db(database);
      for (const name of names) {
        const wanted = await inside(db.collection<Loose>(name));
        const found = () =>
          held([...published, ...last.events]).get(`${database}.${name}`) ?? new Map();
        const isEqual = () => {
          const now = found();
          return (
            now.size === wanted.size &&
            [...wanted].every(
              ([key, after]) => JSON.stringify(now.get(key)) === JSON.stringify(after),
            )
          );
        };
        await eventually(isEqual).catch(() => {
          assert.deepEqual(sorted(found()), sorted(wanted));
        });
      }
    },
  );
