import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { BSON, type Collection } from "mongodb";
import { isRecordChange, type JsonObject, type SluiceEvent } from "sluice";
import { fakes, type FakeState, type SourceRun } from "sluice/testing";
import type { ReplicaSet } from "../../../test/mongod.ts";
import { mongodb } from "./mongodb.ts";

/** A document whose key may be of nearly any type. */
export interface Loose {
  _id?: Key;
  [field: string]: unknown;
}
export type Key =
  | (string | number | boolean | Date | null)
  | (BSON.ObjectId | BSON.Double | BSON.Int32 | BSON.Long | BSON.Decimal128 | BSON.Binary)
  | (BSON.Timestamp | BSON.Code | BSON.MinKey | BSON.MaxKey)
  | Readonly<Record<string, number | string>>;

export type Config = Record<string, unknown> & { readonly collections: readonly string[] };

/** A place to run the source again and again, as one connector. `stopAll` belongs into `afterEach`. */
export function connector(set: Pick<ReplicaSet, "url">) {
  const runs: SourceRun[] = [];
  return {
    start: async (
      config: Config,
      state: FakeState = fakes.state(),
      more: { killWhen?: (events: readonly SluiceEvent[]) => boolean; patienceMs?: number } = {},
    ): Promise<SourceRun> => {
      const given = { config: { url: set.url, ...config }, name: "shop", state, ...more };
      const run = await fakes.run(mongodb, { patienceMs: 15_000, ...given });
      runs.push(run);
      return run;
    },
    stopAll: async () => {
      for (const run of runs.splice(0)) await run.stop().catch(() => {}); // its test has judged it
    },
  };
}

/** What a sink holds that obeys versions, by collection and subject. */
export type Held = ReadonlyMap<string, ReadonlyMap<string, JsonObject>>;

export function held(events: readonly SluiceEvent[]): Held {
  const all = new Map<string, Map<string, { version: string; after: JsonObject | undefined }>>();
  for (const event of events) {
    if (!isRecordChange(event)) continue;
    const records = all.get(event.source) ?? new Map();
    all.set(event.source, records);
    if (event.type === "dev.sluice.collection.cleared") {
      for (const [subject, { version }] of records)
        if (version < event.data.below) records.delete(subject);
      continue;
    }
    const before = records.get(event.subject);
    if (before && before.version > event.sequence) continue;
    const after = event.type === "dev.sluice.record.upserted" ? event.data.after : undefined;
    records.set(event.subject, { version: event.sequence, after });
  }
  const live = [...all].map(([source, records]) => {
    const entries = [...records].flatMap(([subject, { after }]) =>
      after ? [[subject, after] as const] : [],
    );
    return [decodeURIComponent(source.split("/").at(-1) ?? ""), new Map(entries)] as const;
  });
  return new Map(live);
}

/** What the collection holds, written by the driver: not by the code under test. */
export async function inside(
  collection: Collection<Loose>,
): Promise<ReadonlyMap<string, JsonObject>> {
  const documents = await collection
    .find({}, { promoteValues: false, promoteLongs: false })
    .toArray();
  return new Map(
    documents.map((document) => [
      BSON.EJSON.stringify(document["_id"], { relaxed: false }),
      JSON.parse(BSON.EJSON.stringify(document, { relaxed: true })) as JsonObject,
    ]),
  );
}

/** Waits until what is held of the collection is what is in it. */
export async function equal(run: SourceRun, collection: Collection<Loose>): Promise<void> {
  const wanted = await inside(collection);
  const isEqual = (events: readonly SluiceEvent[]) => {
    const found = held(events).get(collection.namespace) ?? new Map();
    if (found.size !== wanted.size) return false;
    return [...wanted].every(([key, after]) => isDeep(found.get(key), after));
  };
  await run
    .until(isEqual, `${collection.namespace} to be held as it is`)
    .catch((error: unknown) => {
      const found = held(run.events).get(collection.namespace) ?? new Map();
      assert.deepEqual(sorted(found), sorted(wanted));
      throw error;
    });
  ascending(run.events);
}

/** Versions of a record rise, whoever listens. */
export function ascending(events: readonly SluiceEvent[]): void {
  const last = new Map<string, string>();
  for (const event of events) {
    if (!isRecordChange(event) || event.type === "dev.sluice.collection.cleared") continue;
    const record = `${event.source} ${event.subject}`;
    const before = last.get(record) ?? "";
    assert.ok(event.sequence >= before, `${record}: ${event.sequence} after ${before}`);
    last.set(record, event.sequence);
  }
}

/** `upserted KEY`, `deleted KEY`, `cleared REASON`, of one collection. */
export function told(events: readonly SluiceEvent[], collection: string): readonly string[] {
  return events
    .filter(isRecordChange)
    .filter(({ source }) => decodeURIComponent(source).endsWith(`/${collection}`))
    .map((event) =>
      event.type === "dev.sluice.collection.cleared"
        ? `cleared ${event.data.reason}`
        : `${event.type.split(".").at(-1)} ${event.subject}`,
    );
}

export async function eventually(what: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await what())) {
    assert.ok(performance.now() < deadline, `never came true: ${what.toString()}`);
    await sleep(10);
  }
}

/** For a readable difference. */
export function sorted(records: ReadonlyMap<string, JsonObject>) {
  return [...records].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function isDeep(a: unknown, b: unknown): boolean {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false; // that is the answer
  }
}
