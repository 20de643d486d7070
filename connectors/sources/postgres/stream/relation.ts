import { ConfigError, type JsonObject } from "sluice";
import { sourceOf } from "./events.ts";
import { qualified, type Table } from "../setup/tables.ts";
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
  readonly columns: readonly { readonly name: string; readonly type: number }[];
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

/** The rows that follow a relation message. Throws `ConfigError` when they no longer tell the record. */
export function streamRelation(
  message: RelationMessage,
  table: Table,
  context: RelationContext,
): Relation {
  const wanted = table.hasColumnList ? new Set(table.columns.map(({ name }) => name)) : undefined;
  const keyNames = table.key.map(({ name }) => name);
  const isFull = message.identity === "f";
  if (!isFull && !table.insertOnly)
    for (const name of keyNames)
      if (!message.columns.some((column) => column.name === name && column.isIdentity))
        throw new ConfigError(
          `postgres: the replica identity of ${qualified(table)} does not cover its key column "${name}": updates and deletes can no longer be mapped to records.`,
          {
            code: "postgres.identity-lost",
            fix: `Run: ALTER TABLE ${qualified(table)} REPLICA IDENTITY DEFAULT;  (or FULL), then start again.`,
          },
        );
  const positions = message.columns.flatMap(({ name }, at) =>
    wanted === undefined || wanted.has(name) ? [at] : [],
  );
  if (positions.length === message.columns.length)
    return relation(table, message.columns, context, isFull);
  const kept = message.columns.filter((_, at) => positions.includes(at));
  return { ...relation(table, kept, context, isFull), picked: positions };
}

function relation(
  table: Table,
  columns: readonly { readonly name: string; readonly type: number }[],
  context: RelationContext,
  isFull: boolean,
): Relation {
  const { database, types, maxValueBytes } = context;
  const keyAt = table.key.map(({ name }) => columns.findIndex((column) => column.name === name));
  const missing = table.key.find((_, at) => keyAt[at] === -1);
  if (missing)
    throw new ConfigError(
      `postgres: ${qualified(table)} has no column "${missing.name}" any more, which is part of its key.`,
      {
        code: "postgres.key-column-missing",
        fix: "Name the new key in `tables`, or publish the column.",
      },
    );
  return {
    table,
    source: sourceOf(database, table),
    columns: columns.map(({ name, type }) => ({ name, type })),
    keyAt,
    hasNullableKey: table.key.some(({ notNull }) => !notNull),
    isFull,
    build: rowBuilder(columns, types, { maxValueBytes }),
  };
}
