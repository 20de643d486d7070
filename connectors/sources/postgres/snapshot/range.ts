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

/** Octets that a chunk may have before its last row. */
export const chunkBytes = 2 * 2 ** 20;

/** Rows and what their snapshot sees: at most `limit`, fewer where they are wide. */
export async function readRange(
  session: Session,
  table: Table,
  range: Range,
): Promise<{
  readonly visibility: Visibility;
  readonly rows: readonly Tuple[];
  /** Nothing of the range is behind them. */
  readonly isLast: boolean;
}> {
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
  const columns = table.columns.map(({ name }) => quoted(name)).join(", ");
  const [before, more] = unused(table, ["before", "more"]);
  // The server counts, for rows that do not fit into memory must not come: their sizes are known without reading them.
  const sql = `SELECT ${columns}, ${more} FROM (
      SELECT ${columns}, lead(true) OVER place AS ${more}, sum(${sizeOf(table)}) OVER place - ${sizeOf(table)} AS ${before}
      FROM ${rowsOf(table)} ${conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : ""}
      WINDOW place AS (ORDER BY ${keys} ROWS UNBOUNDED PRECEDING) ORDER BY ${keys} LIMIT ${limit}
    ) AS chunk WHERE ${before} < ${chunkBytes} ORDER BY ${keys}`;
  const { visibility, rows } = await underSnapshot(session, () => session.query(sql, params));
  return {
    visibility,
    rows: rows.map((row) => row.slice(0, -1)),
    isLast: rows.at(-1)?.at(-1) !== "t",
  };
}

/** Octets of a row's texts, as nearly as they are known without detoasting; an SQL expression. */
function sizeOf(table: Table): string {
  return table.columns
    .map(({ name, type }) => {
      const column = quoted(name);
      if (lengthTypes.has(type)) return `coalesce(octet_length(${column}), 0)`;
      if (type === byteaType) return `coalesce(2 * octet_length(${column}), 0)`;
      return `coalesce(pg_column_size(${column}), 0)`;
    })
    .join(" + ");
}

/** text, varchar, char(n). */
const lengthTypes = new Set([25, 1_043, 1_042]);
const byteaType = 17;

/** Names that no column has. */
function unused(table: Table, names: readonly string[]): readonly string[] {
  const taken = new Set(table.columns.map(({ name }) => name));
  return names.map((name) => {
    let free = name;
    while (taken.has(free)) free += "_";
    return quoted(free);
  });
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
