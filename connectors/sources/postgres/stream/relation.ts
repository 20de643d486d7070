import type { JsonObject } from "sluice";
import { sourceOf } from "./events.ts";
import type { Column, Table } from "../setup/tables.ts";
import { rowBuilder } from "../values/row-builder.ts";
import type { Types } from "../values/types.ts";
import type { Relation as RelationMessage } from "../wire/decode.ts";
import type { Tuple } from "../wire/tuple.ts";

/** How the rows of a table are read at one moment: the stream says so anew whenever it changes. */
export interface Relation {
  /** The captured table; of a partition that is named in the stream, its root. */
  readonly table: Table;
  /** URI of the table, in every event. */
  readonly source: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: number;
    readonly typmod: number;
  }[];
  /** Where the key's columns are; none for a table without a key that only grows. */
  readonly keyAt: readonly number[];
  /** A part of its key may be NULL. */
  readonly hasNullableKey: boolean;
  /** Old rows come whole (`REPLICA IDENTITY FULL`). */
  readonly isFull: boolean;
  /** Positions of the stream's columns that are wanted; absent: all. */
  readonly picked?: readonly number[];
  readonly build: (row: Tuple) => {
    readonly after: JsonObject;
    readonly oversized?: readonly string[];
  };
}

export interface RelationContext {
  readonly database: string;
  readonly types: Types;
  readonly maxValueBytes: number;
}

/** The rows of a snapshot query that selects `table.columns`. */
export function snapshotRelation(table: Table, context: RelationContext): Relation {
  return relation(table, table.columns, context, false);
}

/**
 * The rows that follow a relation message; `undefined` when their old rows do not tell the record by
 * the table's key, or the key's columns are not there.
 */
export function streamRelation(
  message: RelationMessage,
  table: Table,
  context: RelationContext,
): Relation | undefined {
  const isFull = message.identity === "f";
  const tells = ({ name }: Column) =>
    message.columns.some(
      (column) => column.name === name && (isFull || table.insertOnly || column.isIdentity),
    );
  if (!table.key.every(tells)) return undefined;
  const wanted = table.hasColumnList ? new Set(table.columns.map(({ name }) => name)) : undefined;
  // A publication of others may carry them; the copy has none.
  const generated = new Set(table.generated);
  const positions = message.columns.flatMap(({ name }, at) =>
    (wanted?.has(name) ?? true) && !generated.has(name) ? [at] : [],
  );
  if (positions.length === message.columns.length)
    return relation(table, message.columns, context, isFull);
  const kept = message.columns.filter((_, at) => positions.includes(at));
  return { ...relation(table, kept, context, isFull), picked: positions };
}

function relation(
  table: Table,
  columns: Relation["columns"],
  context: RelationContext,
  isFull: boolean,
): Relation {
  const { database, types, maxValueBytes } = context;
  return {
    table,
    source: sourceOf(database, table),
    columns: columns.map(({ name, type, typmod }) => ({ name, type, typmod })),
    keyAt: table.key.map(({ name }) => columns.findIndex((column) => column.name === name)),
    hasNullableKey: table.key.some(({ notNull }) => !notNull),
    isFull,
    build: rowBuilder(columns, types, { maxValueBytes }),
  };
}
