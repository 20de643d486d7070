import { createHash } from "node:crypto";
import {
  cleared,
  deleted,
  upserted,
  version,
  type CollectionCleared,
  type JsonObject,
  type RecordDeleted,
  type RecordUpserted,
  type Version,
} from "sluice";
import type { Relation } from "./relation.ts";
import type { Tuple } from "../wire/tuple.ts";

/** Where in the origin's history events stand: one transaction of the stream, or one chunk of a snapshot. */
export interface Place {
  /** RFC 3339, when it committed. */
  readonly time: string;
  /** Shared by all events of the place. */
  readonly meta: JsonObject;
  /** Version without its tail, see `versionAt`. */
  readonly prefix: Version;
}

/** Of snapshot against change at the same position: the change wins. */
type Rank = 0 | 1;

export function placeOf(at: {
  readonly epoch: number;
  readonly lsn: bigint;
  readonly rank: Rank;
  readonly time: string;
  readonly meta: JsonObject;
}): Place {
  const { epoch, lsn, rank, time, meta } = at;
  return { time, meta, prefix: version({ epoch, position: lsn, rank, tail: "" }) };
}

/** The version of the `ordinal`-th row of a place. Built for every row, so by a prefix that is made once. */
export function versionAt(place: Place, ordinal: number): Version {
  return place.prefix + ordinal.toString(16).padStart(8, "0");
}

/** URI of a table: names are encoded, dots too, so that no two tables share one. */
export function sourceOf(database: string, table: { schema: string; name: string }): string {
  return `/postgres/${part(database)}/${part(table.schema)}.${part(table.name)}`;
}

/** URI of the logical messages of a prefix. */
export function messagesSourceOf(database: string, prefix: string): string {
  return `/postgres/${part(database)}/messages/${part(prefix)}`;
}

function part(name: string): string {
  return encodeURIComponent(name).replaceAll(".", "%2E");
}

/** A record's key: JSON array of the key columns' texts, which no two keys share. */
export function subjectOf(relation: Relation, row: Tuple): string {
  const { keyAt } = relation;
  // A table without a key that only grows: equal rows are one record.
  if (keyAt.length === 0)
    return JSON.stringify([createHash("sha256").update(JSON.stringify(row)).digest("hex")]);
  const [first] = keyAt;
  if (keyAt.length === 1 && first !== undefined) return JSON.stringify([row[first]]);
  return JSON.stringify(keyAt.map((at) => row[at]));
}

function keyOf(relation: Relation, row: Tuple): JsonObject {
  const key: Record<string, string | null> = {};
  for (const at of relation.keyAt) {
    const name = relation.columns[at]?.name ?? "";
    // Assigned, `__proto__` would be the prototype and no column.
    if (name === "__proto__")
      Object.defineProperty(key, name, { value: row[at] ?? null, enumerable: true });
    else key[name] = row[at] ?? null;
  }
  return key;
}

export interface RowChange {
  readonly relation: Relation;
  readonly subject: string;
  readonly row: Tuple;
  readonly place: Place;
  readonly ordinal: number;
  readonly audience?: string | undefined;
}

/** `row` may lack unchanged columns: they are then named, never invented. */
export function upsertOf(
  change: RowChange & { readonly op: "read" | "create" | "update" },
): RecordUpserted {
  const { relation, subject, row, place, ordinal, op, audience } = change;
  const { after, oversized } = relation.build(row);
  const isWhole = !row.includes(undefined);
  const key = keyOf(relation, row);
  const version = versionAt(place, ordinal);
  const { source } = relation;
  const { time, meta } = place;
  // What nearly every row is, without spreads: this runs for each of them.
  if (isWhole && oversized === undefined && audience === undefined)
    return upserted({ source, key, subject, version, time, meta, op, after });
  return upserted({
    source,
    key,
    subject,
    version,
    time,
    meta: oversized === undefined ? meta : { ...meta, oversized },
    op,
    after,
    ...(!isWhole && { unchanged: absentOf(relation, row) }),
    ...(audience !== undefined && { audience }),
  });
}

function absentOf(relation: Relation, row: Tuple): readonly string[] {
  return relation.columns.flatMap(({ name }, at) => (row[at] === undefined ? [name] : []));
}

export function deleteOf(change: RowChange): RecordDeleted {
  const { relation, subject, row, place, ordinal } = change;
  return deleted({
    source: relation.source,
    key: keyOf(relation, row),
    subject,
    version: versionAt(place, ordinal),
    time: place.time,
    meta: place.meta,
  });
}

/** Everything of a table that is older than the `ordinal`-th row of `place` is gone. */
export function clearOf(clear: {
  readonly source: string;
  readonly reason: "truncate" | "drop" | "sweep";
  readonly below: Version;
  readonly place: Place;
  readonly audience?: string | undefined;
}): CollectionCleared {
  const { source, reason, below, place, audience } = clear;
  return cleared({
    source,
    reason,
    below,
    time: place.time,
    meta: place.meta,
    ...(audience !== undefined && { audience }),
  });
}
