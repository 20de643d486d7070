import assert from "node:assert/strict";
import type { SluiceEvent } from "sluice";
import { fakes, type FakeState, type SourceRun } from "sluice/testing";
import { afterAll, afterEach, beforeEach, describe, it } from "vitest";
import { startMongod } from "../../../test/mongod.ts";
import { captureOf } from "./capture.ts";
import type { Change } from "./change.ts";
import { config } from "./config.ts";
import { connect } from "./deployment.ts";
import { lookups } from "./lookup.ts";
import { stream } from "./stream.ts";
import { connector, eventually, held, told, type Loose } from "./harness.ts";

const set = await startMongod({ oplogMB: 900, cacheGB: 1 });
const client = set.client();
const { start, stopAll } = connector(set);
afterAll(() => set.stop());
afterEach(stopAll);

let number = 0;
let place: FakeState;
let db = client.db("l0");
beforeEach(() => {
  number += 1;
  db = client.db(`l${number}`);
  place = fakes.state();
});
const notes = () => db.collection<Loose>("notes");
const megabytes = (count: number, letter = "x") => letter.repeat(count * 1_000_000);
const one = '{"$numberInt":"1"}';
const lines = (events: readonly SluiceEvent[]) => told(events, notes().namespace);

async function following(more: Record<string, unknown>) {
  const run = await start({ collections: [`${db.databaseName}.*`], ...more }, place);
  await eventually(() => run.progress.at(-1)?.phase === "streaming");
  return run;
}
const modes = (run: SourceRun) =>
  run.lines.flatMap(({ fields }) => ("mode" in fields ? String(fields.mode) : []));
const images = { fullDocument: "whenAvailable", fullDocumentBeforeChange: "whenAvailable" };

describe("an event of more than 16 MB", { timeout: 60_000 }, () => {
  it("M11: comes in pieces and is told once, whole; the next ones follow", async () => {
    await db.createCollection("notes", { changeStreamPreAndPostImages: { enabled: true } });
    await notes().insertOne({ _id: 1, body: megabytes(9) });
    const run = await following(images);
    await notes().updateOne({ _id: 1 }, { $set: { n: 1 } });
    await notes().insertOne({ _id: 2 });
    await run.until((events) => lines(events).includes('upserted {"$numberInt":"2"}'));
    assert.equal(lines(run.events).filter((line) => line === `upserted ${one}`).length, 2);
    const last = run.events.findLast(({ subject }) => subject === one);
    const { before, after } = (last?.data ?? {}) as { before?: Loose; after?: Loose };
    assert.deepEqual([before?.["n"], after?.["n"]], [undefined, 1]);
    assert.ok(after && before?.["body"] === after["body"]);
    assert.deepEqual(modes(run), ["split"]);
  });

  it("M11: between whose pieces the source dies is not lost", async () => {
    await db.createCollection("notes", { changeStreamPreAndPostImages: { enabled: true } });
    await notes().insertOne({ _id: 1, body: megabytes(9) });
    await (await following(images)).stop();
    for (let n = 1; n <= 3; n++) await notes().updateOne({ _id: 1 }, { $set: { n } });
    const seen: SluiceEvent[] = [];
    for (let at = 0; at < 3; at++) {
      const run = await start({ collections: [`${db.databaseName}.*`], ...images }, place, {
        killWhen: (events) => events.length > 0,
      });
      await run.ended;
      seen.push(...run.events);
    }
    assert.equal(new Set(seen.map(({ id }) => id)).size, 1, "what was not stored comes again");
    const run = await following(images);
    await run.until((events) => held(events).get(notes().namespace)?.get(one)?.["n"] === 3);
    await run.stop();
    // And its position is one to resume from with other options, too.
    await notes().insertOne({ _id: 5 });
    const other = await start({ collections: [`${db.databaseName}.*`] }, place);
    await other.until((events) => lines(events).includes('upserted {"$numberInt":"5"}'));
  });

  it("M12: that does not come in pieces either is passed, its document read", async () => {
    // A key of 9 KB makes a token of 18: more than an event may be larger than a document.
    const _id = "k".repeat(9_000);
    const body = "y".repeat(16 * 1024 * 1024 - 9_100);
    await notes().insertOne({ _id: 0 });
    const run = await following({});
    for (let at = 1; at <= 40; at++) await notes().insertOne({ _id: at, body: megabytes(1, "z") });
    await notes().insertOne({ _id, body });
    await notes().insertOne({ _id: 101 });
    await run.until((events) => lines(events).includes('upserted {"$numberInt":"101"}'));
    const records = held(run.events).get(notes().namespace);
    assert.equal(records?.get(`"${_id}"`)?.["body"], body);
    assert.equal(records?.size, 43);
    assert.equal(modes(run).at(-1), "lean");
    await notes().deleteOne({ _id });
    await run.until((events) => lines(events).at(-1) === `deleted "${_id}"`);
  });

  it("M12: of a server that sends no pieces is passed, its document read", async () => {
    await db.createCollection("notes", { changeStreamPreAndPostImages: { enabled: true } });
    await notes().insertOne({ _id: 1, body: megabytes(9) });
    const signal = AbortSignal.timeout(20_000);
    const options = config.parse({ url: set.url, collections: [notes().namespace], ...images });
    const deployment = { ...(await connect(options, { signal })), splits: false };
    const said: unknown[] = [];
    const log = (fields: object) => void said.push(fields);
    const run = {
      signal,
      log: { debug: log, info: log, warn: log, error: log },
      awaitMs: () => 50,
    };
    const lookup = lookups(deployment, options, run);
    const changes: Change[] = [];
    let [isOpen, isNext] = [false, false];
    try {
      const place = { deployment, options, capture: captureOf(options) };
      for await (const answer of stream(place, undefined, run)) {
        if (!isOpen) await notes().updateOne({ _id: 1 }, { $set: { n: 1 } });
        isOpen = true;
        changes.push(...(await lookup.complete(answer.changes)));
        if (changes.length > 0 && !isNext) await notes().insertOne({ _id: 2 });
        isNext = changes.length > 0;
        if (changes.length === 2) break;
      }
    } finally {
      await deployment.close();
    }
    const kinds = changes.map(({ operation, document }) => [operation, document !== undefined]);
    assert.deepEqual(kinds.slice(0, 2), [
      ["update", true],
      ["insert", true],
    ]);
    assert.deepEqual(said, [{ mode: "lean" }]);
  });
});
