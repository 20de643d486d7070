import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import type { Pipeline, SinkConnector } from "../config/pipeline.ts";
import type { Auditor, RecordName } from "../auditor.ts";
import type { Log } from "../connector.ts";
import { isPartOf } from "../child.ts";
import { SluiceError } from "../errors.ts";
import { deleted, type RecordDeleted } from "../event.ts";
import type { Records } from "../queue/queue.ts";
import type { StateStore } from "../state/state.ts";
import { version, type Version } from "../version.ts";
import { openAuditor } from "./audit.ts";
import { familyKeysOf } from "./children.ts";

/** What was removed of a record, with the counts that prove it. */
export interface Receipt {
  readonly record: RecordName;
  /** Of a record that was split: how many of its parts were known, and erased with it. */
  readonly parts: number;
  /** RFC 3339. */
  readonly erasedAt: string;
  readonly project: string;
  readonly sinks: readonly ({ readonly sink: string; readonly type: string } & Erased)[];
  readonly deadLetters: number;
  readonly queuedEvents: number;
  /** Of what transforms remember of records that they split. */
  readonly splits: number;
  /**
   * The files of queue and state were rewritten: what was deleted from them is not in their free pages either.
   * False: others were busy with them. Absent: queue and state are in Redis.
   */
  readonly isFileRewritten?: boolean;
  /** True when looking again found nothing. */
  readonly isErased: boolean;
  /** Sinks that cannot take back what they wrote. */
  readonly notErasable: readonly string[];
}

type Erased = Awaited<ReturnType<Auditor["erase"]>>;

interface Run {
  readonly log: Log;
  readonly signal: AbortSignal;
}

interface Audit {
  readonly sink: SinkConnector;
  readonly auditor: Auditor;
  /** The record and its parts, as the sink knows them. */
  readonly names: readonly RecordName[];
}

const handledWithinMs = 60_000;
const pollMs = 100;
const maxTries = 5;
const maxTogether = 8;
const maxEvents = 200;
/** Older than anything. */
const oldest = version({ epoch: 0, position: 0n, rank: 0, tail: 0 });

/**
 * Removes a record, and what it was split into, from everything this project keeps of it: vectors,
 * manifests, dead letters, cached embeddings, waiting events. Where the sink runs, its own worker deletes
 * the record first, behind all that is on its way: so nothing of it can come back.
 */
export async function eraseRecord(
  pipeline: Pipeline,
  record: RecordName,
  backend: Backend,
  run: Run,
): Promise<Receipt> {
  const sinks = pipeline.connectors.filter((one) => one.kind === "sink");
  const able = sinks.filter(({ sink }) => sink.openAuditor !== undefined);
  const open: Omit<Audit, "names">[] = [];
  try {
    for (const sink of able) open.push({ sink, auditor: await openAuditor(sink, backend, run) });
    const splits = await splitsOf(record, pipeline, backend);
    const notes = await Promise.all(open.map(({ auditor }) => auditor.noteOf(record)));
    // Keys of two columns are written like parts: only of a record that somebody knows are they its parts.
    const isKnown = splits.length > 0 || notes.some((note) => note !== undefined);
    const has = (subject: string) =>
      subject === record.subject || (isKnown && isPartOf(subject, record.subject));
    const records = { source: record.source, has };
    const audits: Audit[] = [];
    for (const one of open) audits.push({ ...one, names: await namesIn(one, record, has) });

    let queuedEvents = await backend.topics.erase(records);
    for (const audit of audits) await deleteInTurn(audit, backend, run);
    queuedEvents += await backend.topics.erase(records);
    const deadLetters = await eraseLetters(records, pipeline, backend);
    const erased: Receipt["sinks"][number][] = [];
    for (const audit of audits) erased.push(await eraseIn(audit, run));
    for (const { state, key } of splits) await state.each([{ key, value: undefined }]);

    const left = await Promise.all(audits.map(notesLeft));
    const isFileRewritten = await backend.compact();
    const subjects = new Set(audits.flatMap(({ names }) => names.map(({ subject }) => subject)));
    subjects.delete(record.subject);
    return {
      record,
      parts: subjects.size,
      erasedAt: new Date().toISOString(),
      project: pipeline.project,
      sinks: erased,
      deadLetters,
      queuedEvents,
      splits: splits.length,
      ...(isFileRewritten !== undefined && { isFileRewritten }),
      isErased:
        erased.every(({ remaining }) => remaining === 0) && left.every((count) => count === 0),
      notErasable: sinks.filter((one) => !able.includes(one)).map(({ name }) => name),
    };
  } finally {
    await Promise.allSettled(open.map(({ auditor }) => auditor.close()));
  }
}

/** Where consumers remember what a record was split into. */
async function splitsOf(record: RecordName, { connectors }: Pipeline, backend: Backend) {
  const found: { readonly state: StateStore; readonly key: string }[] = [];
  for (const { name, kind } of connectors) {
    if (kind === "source") continue;
    const { state } = backend.state.scope(name);
    for (const key of await familyKeysOf(state, record)) found.push({ state, key });
  }
  return found;
}

async function namesIn(
  { auditor }: Pick<Audit, "auditor">,
  record: RecordName,
  has: (subject: string) => boolean,
): Promise<readonly RecordName[]> {
  const names = [record];
  for await (const { source, subject } of auditor.records())
    if (source === record.source && subject !== record.subject && has(subject))
      names.push({ source, subject });
  return names;
}

async function eraseIn(
  { sink, auditor, names }: Audit,
  run: Run,
): Promise<Receipt["sinks"][number]> {
  const places = new Set<string>();
  const sums = { vectors: 0, manifests: 0, cachedEmbeddings: 0, remaining: 0 };
  for (let from = 0; from < names.length; from += maxTogether) {
    const some = names.slice(from, from + maxTogether);
    for (const one of await Promise.all(some.map((name) => auditor.erase(name, run)))) {
      for (const place of one.places) places.add(place);
      sums.vectors += one.vectors;
      sums.manifests += one.manifests;
      sums.cachedEmbeddings += one.cachedEmbeddings;
      sums.remaining += one.remaining;
    }
  }
  return { sink: sink.name, type: sink.sink.name, places: [...places], ...sums };
}

async function notesLeft({ auditor, names }: Audit): Promise<number> {
  let left = 0;
  for (const name of names) if (await auditor.noteOf(name)) left += 1;
  return left;
}

/** Has a running sink delete the records in their turn, behind whatever it has of them in hands. */
async function deleteInTurn(
  { sink, auditor, names }: Audit,
  { topics }: Backend,
  { signal }: Run,
): Promise<void> {
  let open = names;
  for (let tries = 0; tries < maxTries; tries++) {
    const own = (await topics.subscriptions()).filter(({ name }) => name === sink.name);
    if (!own.some(({ consumers }) => consumers > 0)) return;
    const deletes: { readonly name: RecordName; readonly event: RecordDeleted }[] = [];
    for (const name of open) {
      const note = await auditor.noteOf(name);
      const { source, subject } = name;
      const event = deleted({
        source,
        subject,
        key: subject,
        // What was taken over from a listing has none.
        version: justAfter(note?.version || oldest),
        time: new Date().toISOString(),
        meta: { by: "erase" },
        audience: sink.name,
        ...(note && { partitionkey: note.partitionkey }),
      });
      deletes.push({ name, event });
    }
    for (const topic of sink.from)
      for (let from = 0; from < deletes.length; from += maxEvents) {
        const some = deletes.slice(from, from + maxEvents).map(({ event }) => event);
        await topics.publish(topic, some, { signal });
      }
    const isDone = await Promise.all(
      deletes.map(({ name, event }) => isDeleted(name, event.sequence, auditor, signal)),
    );
    open = open.filter((_, at) => isDone[at] === false);
    if (open.length === 0) return;
  }
  const [{ source, subject } = { source: "", subject: "" }] = open;
  throw new SluiceError(
    `${sink.name}: ${subject} of ${source} is not deleted: it keeps changing, or the sink does not get to it.`,
    {
      code: "cli.not-erased",
      fix: "Delete the record at its origin, and see in `sluice status` that the sink keeps up; then ask again.",
    },
  );
}

/** Between a version and every later one of the record. */
function justAfter(at: Version): Version {
  return `${at}0`;
}

/** False when the record came back with a later version, or nothing happened in time. */
async function isDeleted(
  record: RecordName,
  at: Version,
  auditor: Auditor,
  signal: AbortSignal,
): Promise<boolean> {
  const until = performance.now() + handledWithinMs;
  while (performance.now() < until) {
    const note = await auditor.noteOf(record);
    if (note !== undefined && note.version >= at) {
      if (note.isDeleted) return true;
      if (note.version > at) return false;
    }
    await sleep(pollMs, undefined, { signal });
  }
  return false;
}

async function eraseLetters(
  { source, has }: Records,
  { connectors }: Pipeline,
  { deadLetters }: Backend,
): Promise<number> {
  let erased = 0;
  for (const { name } of connectors) {
    const ids: string[] = [];
    for await (const page of deadLetters.list(name))
      for (const { id, event } of page)
        if (event.source === source && has(event.subject ?? "")) ids.push(id);
    if (ids.length > 0) await deadLetters.remove(name, ids);
    erased += ids.length;
  }
  return erased;
}
