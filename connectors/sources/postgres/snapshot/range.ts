import type { Session } from "../session.ts";
import { sqlState } from "../wire/refusals.ts";
import { quoted, rowsOf, type Table } from "../setup/tables.ts";
import { parseVisibility, type Visibility } from "./visibility.ts";
import type { Tuple } from "../wire/tuple.ts";

/**
 * A range of a table in the order of its key: the database's order, for JavaScript knows nothing of
 * collations, enum order or numeric scale. Keys go back as the texts that the server gave.
 */
export interface Range {
  /** Exclusive; null: from the start. */
  readonly after: readonly string[] | null;
  /** Inclusive; null: to the end. */
  readonly upto: readonly string[] | null;
  readonly limit: number;
}

/** Rows and what their snapshot sees. */
export async function readRange(
  session: Session,
  table: Table,
  range: Range,
): Promise<{ readonly visibility: Visibility; readonly rows: readonly Tuple[] }> {
  const { after, upto, limit } = range;
  const keys = table.key.map(({ name }) => quoted(name)).join(", ");
  const bound = (from: number) =>
    table.key.map(({ typeName }, n) => `$${from + n}::${typeName}`).join(", ");
  const params = [...(after ?? []), ...(upto ?? [])];
  const conditions = [
    ...(table.where === undefined ? [] : [`(${table.where})`]),
    ...(after ? [`(${keys}) > (${bound(1)})`] : []),
    ...(upto ? [`(${keys}) <= (${bound(1 + (after?.length ?? 0))})`] : []),
  ];
  const sql = `SELECT ${table.columns.map(({ name }) => quoted(name)).join(", ")} FROM ${rowsOf(table)}
    ${conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : ""} ORDER BY ${keys} LIMIT ${limit}`;
  return underSnapshot(session, () => session.query(sql, params));
}

/** Runs a query in a snapshot whose visibility is known. */
async function underSnapshot(
  session: Session,
  query: () => Promise<readonly Tuple[]>,
): Promise<{ readonly visibility: Visibility; readonly rows: readonly Tuple[] }> {
  await session.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  try {
    const [[snapshot] = []] = await session.query("SELECT pg_current_snapshot()");
    const rows = await query();
    return { visibility: parseVisibility(snapshot ?? ""), rows };
  } finally {
    await session.query("ROLLBACK");
  }
}

/** The key of the last row, in the database's order. Null for an empty table. */
export async function largestKey(
  session: Session,
  table: Table,
): Promise<readonly string[] | null> {
  const names = table.key.map(({ name }) => quoted(name));
  const [row] = await session.query(
    `SELECT ${names.join(", ")} FROM ${rowsOf(table)} ORDER BY ${names.map((name) => `${name} DESC`).join(", ")} LIMIT 1`,
  );
  return row ? row.map((text) => text ?? "") : null;
}

/** A query failed because the table, a column or a type of it is not what it was. */
export function isShapeChange(error: unknown): boolean {
  const state = sqlState(error);
  return (
    state !== undefined && ["42703", "42P01", "42704", "42883", "42804", "0A000"].includes(state)
  );
}
