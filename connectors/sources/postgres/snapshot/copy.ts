import { setTimeout as sleep } from "node:timers/promises";
import type { SluiceEvent, StateWrite } from "sluice";
import { formatLsn } from "../lsn.ts";
import { placeOf, subjectOf, upsertOf, type Place } from "../stream/events.ts";
import type { Group, Markers } from "../stream/markers.ts";
import type { Relation } from "../stream/relation.ts";
import type { Session } from "../session.ts";
import type { Table } from "../setup/tables.ts";
import { isOtherKey, shapeOfTable } from "../stream/shape.ts";
import { chunkBytes, countKeyless, largestKey, readRange } from "./range.ts";
import type { Delivered } from "./visibility.ts";
import type { Window } from "./window.ts";
import type { Tuple } from "../wire/tuple.ts";

/** How far the copy of a table is: keys as PostgreSQL's texts. */
export interface CopyProgress {
  /** Last key published; null before the first. */
  readonly after: readonly string[] | null;
  /** Largest key when the copy began; null for an empty table. What is larger comes by the stream. */
  readonly upto: readonly string[] | null;
  readonly rows: number;
  readonly isDone: boolean;
}

export interface CopyRun {
  readonly session: Session;
  readonly openSession: () => Promise<Session>;
  readonly markers: Markers;
  readonly delivered: Delivered;
  readonly epoch: number;
  readonly chunkRows: number;
  readonly audience: string | undefined;
  readonly signal: AbortSignal;
  /** The table as it is now, asked again after its shape changed; none when it is gone. */
  readonly table: () => Promise<Table | undefined>;
  readonly relationOf: (table: Table) => Relation;
  /** Rows with a NULL in their key, which nothing identifies. */
  readonly keyless: (source: string, rows: number) => void;
  readonly watch: (window: Window) => () => void;
  readonly openWindow: () => Window;
  /** The write that stores how far this table is. */
  readonly remember: (progress: CopyProgress) => StateWrite;
  /** What ends the table: its sweep. */
  readonly finish: (relation: Relation, place: Place) => SluiceEvent;
}

const maxEvents = 1_000;
const maxBytes = 2 ** 20;
/** Chunks read and not yet reached by the stream. */
const lookahead = 2;

/**
 * Copies a table while the stream goes on (after DBLog, without its low watermark). Each chunk is read
 * in key order under a snapshot whose visibility is known; then a marker is written. Where the stream
 * reaches the marker, the chunk's rows are published at its position, except those touched by a
 * transaction that the chunk did not see: of these the stream has brought something newer. Whatever
 * commits after the marker has a higher version. So nothing is lost and nothing comes back from the dead.
 *
 * Resolves when the whole table is published and its sweep with it, or to false when the table is gone
 * or its key is another one; `from` continues a copy.
 */
export async function copyTable(run: CopyRun, from: CopyProgress | undefined): Promise<boolean> {
  const { session, signal } = run;
  let table = await run.table();
  if (!table) return false;
  let { after, upto, rows } = from ?? {
    after: null,
    upto: await largestKey(session, table),
    rows: 0,
  };
  if (!from) {
    const keyless = await countKeyless(session, table);
    if (keyless > 0) run.keyless(run.relationOf(table).source, keyless);
  }
  let limit = Math.min(200, run.chunkRows);
  for (;;) {
    signal.throwIfAborted();
    const outcomes: Promise<Outcome>[] = [];
    const copier = { isVoid: false };
    let [next, count, isLast] = [after, rows, false];
    while (!isLast && !copier.isVoid) {
      const relation = run.relationOf(table);
      const chunk = await readChunk(run, table, relation, { after: next, upto, limit });
      if (!chunk) {
        copier.isVoid = true;
        break;
      }
      isLast = chunk.isLast;
      const last = chunk.rows.at(-1);
      if (last) next = relation.keyAt.map((at) => last[at] ?? "");
      const outcome = publishChunk(run, relation, chunk, { copier, upto, count });
      outcome.catch(() => undefined); // awaited below; an abort may come first
      outcomes.push(outcome);
      count += chunk.rows.length;
      limit = nextLimit(limit, chunk, run.chunkRows);
      while (outcomes.length >= lookahead) await settle();
    }
    while (outcomes.length > 0) await settle();
    if (!copier.isVoid) return true;
    const now = await run.table();
    // How far it is says nothing of another table, or another order.
    if (!now || now.oid !== table.oid || isOtherKey(shapeOfTable(table), shapeOfTable(now)))
      return false;
    table = now;

    async function settle(): Promise<void> {
      const outcome = await outcomes.shift();
      if (outcome?.isPublished) ({ after, rows } = outcome);
    }
  }
}

/** Rows read and not yet published. */
export interface Chunk {
  readonly rows: readonly Tuple[];
  readonly isLast: boolean;
  readonly subjects: readonly string[];
  readonly window: Window;
  readonly close: () => void;
}

type Outcome =
  | { readonly isPublished: false }
  | { readonly isPublished: true; readonly after: readonly string[] | null; readonly rows: number };

/** Undefined when the table's shape changed under the query. */
async function readChunk(
  run: CopyRun,
  table: Table,
  relation: Relation,
  range: { after: readonly string[] | null; upto: readonly string[] | null; limit: number },
): Promise<Chunk | undefined> {
  const { session, delivered, signal } = run;
  let tries = 0;
  for (;;) {
    signal.throwIfAborted();
    const mark = delivered.mark();
    const window = run.openWindow();
    const close = run.watch(window);
    try {
      const read = await readRange(session, table, range);
      if (!read) {
        close();
        return undefined;
      }
      const { visibility, rows, isLast } = read;
      if (delivered.isMissing(visibility, mark)) {
        close();
        // With a synchronous standby away this may last: the table is not read a hundred times a second for it.
        await sleep(Math.min(10 * 2 ** tries++, 1_000), undefined, { signal });
        continue;
      }
      const subjects = rows.map((row) => subjectOf(relation, row));
      window.settle(visibility, new Set(subjects));
      return { rows, isLast, subjects, window, close };
    } catch (error) {
      close();
      throw error;
    }
  }
}

/** Writes the chunk's marker now; resolves once the stream has reached it and the rows are handed over. */
export async function publishChunk(
  run: CopyRun,
  relation: Relation,
  chunk: Chunk,
  more: {
    readonly copier: { isVoid: boolean };
    readonly upto: readonly string[] | null;
    readonly count: number;
  },
): Promise<Outcome> {
  const { copier, upto, count } = more;
  const { rows, isLast, subjects, window, close } = chunk;
  const keyAt = (n: number) => relation.keyAt.map((at) => rows[n]?.[at] ?? "");
  return run.markers.reach(
    run.session,
    function* ({ lsn, time }): Generator<Group, Outcome> {
      close();
      // A chunk that must be read again takes those behind it along: they would store a progress past it.
      if (copier.isVoid || window.isSpoiled()) {
        copier.isVoid = true;
        return { isPublished: false };
      }
      const place = placeOf({
        epoch: run.epoch,
        lsn,
        rank: 0,
        time,
        meta: { lsn: formatLsn(lsn) },
      });
      let events: SluiceEvent[] = [];
      let bytes = 0;
      const group = (done: number): Group => {
        const full = { events, bytes };
        [events, bytes] = [[], 0];
        if (done === 0) return full;
        const progress = { after: keyAt(done - 1), upto, rows: count + done, isDone: false };
        return { ...full, writes: [run.remember(progress)] };
      };
      for (const [n, row] of rows.entries()) {
        const subject = subjects[n] ?? "";
        if (window.isStale(subject)) continue;
        const size = textSize(row);
        if (events.length >= maxEvents || (events.length > 0 && bytes + size > maxBytes))
          yield group(n);
        const { audience } = run;
        events.push(upsertOf({ relation, subject, row, place, ordinal: n, op: "read", audience }));
        bytes += size;
      }
      yield group(rows.length);
      const after = rows.length > 0 ? keyAt(rows.length - 1) : null;
      if (isLast)
        yield {
          events: [run.finish(relation, place)],
          writes: [run.remember({ after, upto, rows: count + rows.length, isDone: true })],
        };
      return { isPublished: true, after, rows: count + rows.length };
    },
    run.signal,
  );
}

function textSize(row: Tuple): number {
  let size = 100; // what an event weighs without its texts
  for (const value of row) size += value?.length ?? 4;
  return size;
}

/** The next chunk's rows: as many as make a few megabytes, whatever their size. */
function nextLimit(limit: number, chunk: Chunk, most: number): number {
  const bytes = chunk.rows.reduce((sum, row) => sum + textSize(row), 0);
  if (chunk.rows.length === 0) return limit;
  const fitting = Math.floor((chunkBytes * chunk.rows.length) / bytes);
  return Math.max(1, Math.min(most, fitting, limit * 8));
}
