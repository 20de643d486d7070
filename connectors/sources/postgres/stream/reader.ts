import { isUtf8 } from "node:buffer";
import { upserted, version } from "sluice";
import { openArrivals, type Arrivals } from "./arrivals.ts";
import type { Gathered } from "./batch.ts";
import type { Captured } from "./captured.ts";
import { shown } from "../setup/identifier.ts";
import {
  clearOf,
  deleteOf,
  messagesSourceOf,
  placeOf,
  subjectOf,
  upsertOf,
  versionAt,
  type Place,
} from "./events.ts";
import { formatLsn, parseLsn } from "../lsn.ts";
import { ownMessages, type MarkerPlace } from "./markers.ts";
import type { Position } from "../position.ts";
import type { Relation } from "./relation.ts";
import type { Table } from "../setup/tables.ts";
import { timeText } from "./time.ts";
import type { Delivered } from "../snapshot/visibility.ts";
import type { Message } from "../wire/decode.ts";
import type { Tuple } from "../wire/tuple.ts";

interface Transaction {
  readonly lsn: bigint;
  readonly xid: number;
  readonly time: bigint;
  place: Place;
  /** Rows so far, counted before any filter: the same at every delivery. */
  ordinal: number;
  /** Of tables whose key is deferrable. */
  arrivals?: Arrivals;
}

/** Turns the messages of the stream into events, in order, and knows how far that is. */
export interface Reader {
  readonly handle: (message: Message, bytes: number) => void | Promise<void>;
  /** Where a logical message stands, for the marker in it. */
  readonly markerPlace: () => MarkerPlace | undefined;
  /** Resumes after all that was handled. */
  readonly position: () => Position;
  readonly lsn: () => bigint;
}

export function openReader(context: {
  readonly start: Position;
  readonly batch: Gathered;
  readonly captured: Captured;
  readonly delivered: Delivered;
  readonly messagePrefixes: readonly string[];
  /** A row of `source` has a NULL in its key, and is left out. */
  readonly keyless: (source: string) => void;
}): Reader {
  const { start, batch, captured, delivered, messagePrefixes } = context;
  const { epoch } = start;
  const resumed = start.at && { commit: parseLsn(start.at.commit), ordinal: start.at.ordinal };
  let lsn = parseLsn(start.lsn);
  let transaction: Transaction | undefined;

  const begin = (at: { lsn: bigint; xid: number; time: bigint; origin?: string }): Transaction => {
    const { lsn, xid, time, origin } = at;
    const meta = { lsn: formatLsn(lsn), xid, ...(origin !== undefined && { origin }) };
    const place = placeOf({ epoch, lsn, rank: 1, time: timeText(time), meta });
    return { lsn, xid, time, place, ordinal: 0 };
  };

  /** The next row's number; undefined when it was published before the restart, or is nobody's. */
  const next = (inside: Transaction): number | undefined => {
    const ordinal = ++inside.ordinal;
    return resumed && inside.lsn === resumed.commit && ordinal <= resumed.ordinal
      ? undefined
      : ordinal;
  };

  /** A row left the key `was` and came to the key `now`. */
  const moved = (inside: Transaction, table: Table, was?: string, now?: string) => {
    const name = shown(table);
    inside.arrivals ??= openArrivals(inside.lsn === resumed?.commit);
    if (was !== undefined && inside.arrivals.isDoubtful(`${name} ${was}`))
      captured.resnapshot(name, "two of its rows had one key for a moment");
    if (now !== undefined) inside.arrivals.add(`${name} ${now}`);
  };

  const changed = (
    message: Extract<Message, { kind: "insert" | "update" | "delete" }>,
    bytes: number,
  ) => {
    const inside = transaction;
    if (!inside) return;
    const ordinal = next(inside);
    const known = captured.relation(message.relation);
    if (!known) return;
    const { relation, windows } = known;
    const { place } = inside;
    /** The record of a row, noted as touched; none where its key has a NULL, which is nobody's id. */
    const recordOf = (row: Tuple): string | undefined => {
      if (relation.hasNullableKey && relation.keyAt.some((at) => row[at] === null)) {
        context.keyless(relation.source);
        return undefined;
      }
      const subject = subjectOf(relation, row);
      for (const window of windows) window.touch(inside.xid, subject);
      return subject;
    };
    const old = message.kind === "insert" ? undefined : message.old;
    const before = old && relation.keyAt.length > 0 ? pick(relation, old.row) : undefined;
    const was = before && recordOf(before);
    const { table } = relation;
    if (message.kind === "delete") {
      if (table.isKeyDeferrable) moved(inside, table, was);
      if (before && was !== undefined && ordinal !== undefined)
        batch.add(deleteOf({ relation, row: before, subject: was, place, ordinal }), bytes);
      return;
    }
    const row = filled(relation, pick(relation, message.row), old?.kind, before);
    const subject = recordOf(row);
    if (table.isKeyDeferrable && was !== subject) moved(inside, table, was, subject);
    // Published before the restart: news only to a chunk that is being read.
    if (ordinal === undefined) return;
    if (before && was !== undefined && was !== subject)
      batch.add(deleteOf({ relation, row: before, subject: was, place, ordinal }), 0);
    if (subject === undefined) return;
    const op = message.kind === "insert" ? "create" : "update";
    const change = { relation, subject, row, place, ordinal, op } as const;
    if (row.includes(undefined)) batch.addIncomplete(change, inside.xid, bytes);
    else batch.add(upsertOf(change), bytes);
  };

  return {
    handle: (message, bytes) => {
      switch (message.kind) {
        case "insert":
        case "update":
        case "delete":
          return changed(message, bytes);
        case "begin":
          transaction = begin({ lsn: message.commitLsn, xid: message.xid, time: message.time });
          return delivered.add(message.xid);
        case "commit":
          lsn = message.endLsn;
          transaction = undefined;
          return;
        case "origin":
          if (transaction)
            transaction = {
              ...begin({ ...transaction, origin: message.name }),
              ordinal: transaction.ordinal,
            };
          return;
        case "relation": {
          const where = transaction && versionAt(transaction.place, transaction.ordinal + 1);
          return captured.learn(
            message,
            where === undefined || !transaction
              ? undefined
              : { below: where, place: transaction.place },
          );
        }
        case "truncate":
          for (const oid of message.relations) {
            const inside = transaction;
            if (!inside) return;
            const ordinal = next(inside);
            const known = captured.relation(oid);
            if (!known) continue;
            for (const window of known.windows) window.touchAll(inside.xid);
            if (ordinal === undefined) continue;
            if (known.isPartition)
              captured.resnapshot(shown(known.relation.table), "a partition was truncated");
            else
              batch.add(
                clearOf({
                  source: known.relation.source,
                  reason: "truncate",
                  below: versionAt(inside.place, ordinal),
                  place: inside.place,
                }),
                bytes,
              );
          }
          return;
        case "message": {
          // Heartbeats and markers, of any pipeline, are nobody's records.
          const isOurs = message.prefix.startsWith(ownMessages);
          const prefix = messagePrefixes.find((one) => !isOurs && message.prefix.startsWith(one));
          const ordinal = transaction && message.transactional ? next(transaction) : 0;
          if (prefix !== undefined && ordinal !== undefined) {
            const at = transaction && message.transactional ? transaction : undefined;
            const meta = at?.place.meta ?? { lsn: formatLsn(message.lsn) };
            const own = at
              ? versionAt(at.place, ordinal)
              : version({ epoch, position: message.lsn, rank: 0, tail: 0 });
            const id = at ? `${formatLsn(at.lsn)}/${ordinal}` : formatLsn(message.lsn);
            batch.add(
              upserted({
                source: messagesSourceOf(start.database, message.prefix),
                key: { message: id },
                subject: JSON.stringify([id]),
                version: own,
                time: at?.place.time ?? new Date().toISOString(),
                meta,
                op: "create",
                after: { prefix: message.prefix, ...contentOf(message.content) },
              }),
              bytes,
            );
          }
          if (!transaction && message.lsn > lsn) lsn = message.lsn;
          return;
        }
        case "type":
        case "unknown":
          return;
      }
    },
    markerPlace: () => transaction && { lsn: transaction.lsn, time: transaction.place.time },
    position: () => {
      const { at: _, ...rest } = start;
      const base = { ...rest, lsn: formatLsn(lsn) };
      if (transaction && transaction.ordinal > 0) {
        const earlier = resumed?.commit === transaction.lsn ? resumed.ordinal : 0;
        const ordinal = Math.max(transaction.ordinal, earlier);
        return { ...base, at: { commit: formatLsn(transaction.lsn), ordinal } };
      }
      // Not yet past the transaction in which the last run stopped: what it published of it still holds.
      return resumed && lsn <= resumed.commit && start.at ? { ...base, at: start.at } : base;
    },
    lsn: () => lsn,
  };
}

function pick(relation: Relation, row: Tuple): Tuple {
  return relation.picked ? relation.picked.map((at) => row[at]) : row;
}

/** Untouched long values: from the old row where it came whole, a key's from the old key. */
function filled(
  relation: Relation,
  row: Tuple,
  kind: "key" | "full" | undefined,
  old: Tuple | undefined,
): Tuple {
  if (!old || !row.includes(undefined)) return row;
  if (kind === "full") return row.map((value, at) => (value === undefined ? old[at] : value));
  return row.map((value, at) =>
    value === undefined && relation.keyAt.includes(at) ? old[at] : value,
  );
}

/** Text, or what is none as base64. */
function contentOf(content: Buffer): { readonly text: string } | { readonly base64: string } {
  return isUtf8(content)
    ? { text: content.toString("utf8") }
    : { base64: content.toString("base64") };
}
