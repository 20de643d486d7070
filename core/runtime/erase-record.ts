import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import type { Pipeline, SinkConnector } from "../config/pipeline.ts";
import type { Auditor, Log, RecordName } from "../connector.ts";
import { SluiceError } from "../errors.ts";
import { deleted } from "../event.ts";
import { version, type Version } from "../version.ts";
import { openAuditor } from "./audit.ts";

/** What was removed of a record, with the counts that prove it. */
export interface Receipt {
  readonly record: RecordName;
  /** RFC 3339. */
  readonly erasedAt: string;
  readonly project: string;
  readonly sinks: readonly ({
    readonly sink: string;
    readonly type: string;
  } & Awaited<ReturnType<Auditor["erase"]>>)[];
  readonly deadLetters: number;
  readonly queuedEvents: number;
  /** True when looking again found nothing. */
  readonly isErased: boolean;
  /** Sinks that cannot take back what they wrote. */
  readonly notErasable: readonly string[];
}

const handledWithinMs = 60_000;
const pollMs = 100;
const maxTries = 5;
/** Older than anything. */
const oldest = version({ epoch: 0, position: 0n, rank: 0, tail: 0 });

/**
 * Removes a record from everything this project keeps of it: vectors, manifests, dead letters, cached
 * embeddings, waiting events. Where the sink runs, its own worker deletes the record first, behind all
 * that is on its way: so nothing of it can come back.
 */
export async function eraseRecord(
  pipeline: Pipeline,
  record: RecordName,
  backend: Backend,
  run: { readonly log: Log; readonly signal: AbortSignal },
): Promise<Receipt> {
  const sinks = pipeline.connectors.filter((one) => one.kind === "sink");
  const able = sinks.filter(({ sink }) => sink.openAuditor !== undefined);
  const audits: { readonly sink: SinkConnector; readonly auditor: Auditor }[] = [];
  try {
    for (const sink of able) audits.push({ sink, auditor: await openAuditor(sink, backend, run) });
    let queuedEvents = await backend.topics.erase(record);
    for (const { sink, auditor } of audits) await deleteInTurn(record, sink, auditor, backend, run);
    queuedEvents += await backend.topics.erase(record);
    const deadLetters = await eraseLetters(record, pipeline, backend);
    const erased: Receipt["sinks"][number][] = [];
    for (const { sink, auditor } of audits)
      erased.push({
        sink: sink.name,
        type: sink.sink.name,
        ...(await auditor.erase(record, run)),
      });
    const left = await Promise.all(audits.map(({ auditor }) => auditor.noteOf(record)));
    return {
      record,
      erasedAt: new Date().toISOString(),
      project: pipeline.project,
      sinks: erased,
      deadLetters,
      queuedEvents,
      isErased:
        erased.every(({ remaining }) => remaining === 0) &&
        left.every((note) => note === undefined),
      notErasable: sinks.filter((one) => !able.includes(one)).map(({ name }) => name),
    };
  } finally {
    await Promise.allSettled(audits.map(({ auditor }) => auditor.close()));
  }
}

/** Has a running sink delete the record in its turn, behind whatever it has of it in hands. */
async function deleteInTurn(
  record: RecordName,
  sink: SinkConnector,
  auditor: Auditor,
  { topics }: Backend,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  for (let tries = 0; tries < maxTries; tries++) {
    const own = (await topics.subscriptions()).filter(({ name }) => name === sink.name);
    if (!own.some(({ consumers }) => consumers > 0)) return;
    const note = await auditor.noteOf(record);
    // What was taken over from a listing has none.
    const at = justAfter(note?.version || oldest);
    const { source, subject } = record;
    const event = deleted({
      source,
      subject,
      key: subject,
      version: at,
      time: new Date().toISOString(),
      meta: { by: "erase" },
      audience: sink.name,
      ...(note && { partitionkey: note.partitionkey }),
    });
    for (const topic of sink.from) await topics.publish(topic, [event], { signal });
    if (await isDeleted(record, at, auditor, signal)) return;
  }
  throw new SluiceError(
    `${sink.name}: ${record.subject} of ${record.source} is not deleted: it keeps changing, or the sink does not get to it.`,
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
  { source, subject }: RecordName,
  { connectors }: Pipeline,
  { deadLetters }: Backend,
): Promise<number> {
  let erased = 0;
  for (const { name, kind } of connectors) {
    if (kind === "source") continue;
    const ids: string[] = [];
    for await (const page of deadLetters.list(name))
      for (const { id, event } of page)
        if (event.source === source && event.subject === subject) ids.push(id);
    if (ids.length > 0) await deadLetters.remove(name, ids);
    erased += ids.length;
  }
  return erased;
}
