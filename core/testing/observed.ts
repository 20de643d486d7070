import assert from "node:assert/strict";
import {
  isRecordChange,
  type CollectionCleared,
  type RecordChange,
  type SluiceEvent,
} from "../event.ts";
import type { Version } from "../version.ts";
import type { SourceRun } from "./fakes/run.ts";

/** Uses a run and stops it, whatever happens. */
export async function during(reading: SourceRun, use: (reading: SourceRun) => Promise<void>) {
  try {
    await use(reading);
  } finally {
    await reading.stop();
  }
}

/** Waits until every text was published. */
export function sees(reading: SourceRun, ...texts: readonly string[]) {
  const some = texts.slice(0, 5).map((text) => text.slice(0, 30));
  const wanted = `${texts.length} new text(s), ${some.join(", ")}${texts.length > 5 ? ", …" : ""}`;
  return reading.until(hold(...texts), wanted);
}

/** True of events that hold every text somewhere. */
export function hold(...texts: readonly string[]) {
  const wanted = texts.map(inJson);
  return (events: readonly SluiceEvent[]) =>
    wanted.every((text) => events.some((event) => written(event).includes(text)));
}

/** As it stands in JSON, between its quotes. */
function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** Asked again with every batch, of all events so far. */
const known = new WeakMap<SluiceEvent, string>();

function written(event: SluiceEvent): string {
  const text = known.get(event) ?? JSON.stringify(event);
  known.set(event, text);
  return text;
}

/** The changes of one record. */
export function of(events: readonly SluiceEvent[], subject: string): readonly RecordChange[] {
  return events.filter(isRecordChange).filter((event) => event.subject === subject);
}

/** The versions of one record's changes. */
export function versionsOf(events: readonly SluiceEvent[], subject: string): readonly Version[] {
  return of(events, subject).map(({ sequence }) => sequence);
}

/** True when the last that was said of a record is its delete. */
export function isGone(events: readonly SluiceEvent[], subject: string): boolean {
  return of(events, subject).at(-1)?.type === "dev.sluice.record.deleted";
}

/** Asserts that these can be the changes of one record, in that order. */
export function rising(changes: readonly RecordChange[]) {
  const versions = changes.map(({ sequence }) => sequence);
  assert.deepEqual(
    versions,
    versions.toSorted(),
    "a record was told with a lower version than before, in a snapshot too",
  );
  const keys = new Set(changes.map(({ partitionkey }) => partitionkey));
  for (const [at, change] of changes.entries()) {
    const before = changes[at - 1];
    if (before?.sequence === change.sequence)
      assert.deepEqual(held(change), held(before), "two changes of one record have one version");
  }
  assert.ok(keys.size <= 1, `one record has the partition keys ${[...keys].join(", ")}`);
}

/** What a record holds after a change; again at the same version it is the same. */
function held(change: RecordChange): unknown {
  return change.type === "dev.sluice.record.upserted" ? change.data.after : change.type;
}

/** Asserts that two runs named a change alike: as often as its version is the same, all of it is. */
export function alike(one: RecordChange | undefined, other: RecordChange | undefined) {
  assert.ok(one && other, "emitted in both runs");
  assert.equal(one.partitionkey, other.partitionkey, "one record has two partition keys");
  assert.equal(
    one.id === other.id,
    one.sequence === other.sequence,
    "one version has one id, and one id has one version",
  );
  if (one.id !== other.id) return;
  assert.deepEqual(
    withoutReadTime(other),
    withoutReadTime(one),
    "two runs told one version differently",
  );
}

/** What a snapshot read may tell when that was. */
function withoutReadTime(change: RecordChange): RecordChange {
  const isRead = change.type === "dev.sluice.record.upserted" && change.data.op === "read";
  return isRead ? { ...change, time: "" } : change;
}

export function isClear(event: SluiceEvent): event is CollectionCleared {
  return isRecordChange(event) && event.type === "dev.sluice.collection.cleared";
}

/** What a sink holds after all of these, by subject. */
export function heldAfter(events: readonly SluiceEvent[]): ReadonlyMap<string, string> {
  const newest = new Map<string, { readonly sequence: string; readonly text?: string }>();
  for (const event of events.filter(isRecordChange)) {
    const { sequence, subject } = event;
    if (event.type === "dev.sluice.collection.cleared") {
      for (const [key, one] of newest) if (one.sequence < event.data.below) newest.delete(key);
    } else if ((newest.get(subject)?.sequence ?? "") <= sequence) {
      const isGone = event.type === "dev.sluice.record.deleted";
      newest.set(subject, { sequence, ...(!isGone && { text: written(event) }) });
    }
  }
  return new Map(
    [...newest].flatMap(([key, { text }]) => (text === undefined ? [] : [[key, text]])),
  );
}
