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

/**
 * Rows, at most `limit`, fewer where they are wide, and what of the stream they are sure to hold: a
 * snapshot taken just before. One for both would be older than a rewrite that the query may have to wait
 * for, and to such a snapshot a rewritten table is empty. `undefined`: the table is not what `table` says.
 */
export async function readRange(
  session: Session,
  table: Table,
  range: Range,
): Promise<
  | {
      readonly visibility: Visibility;
      readonly rows: readonly Tuple[];
      /** Nothing of the range is behind them. */
      readonly isLast: boolean;
    }
  | undefined
> {
  const { after, upto, limit } = range;
  const keys = table.key.map(({ name }) => quoted(name)).join(", ");
  const params = [...(after ?? []), ...(upto ?? [])];
  const conditions = [
    ...(table.where === undefined ? [] : [`(${table.where})`]),
    ...(after ? [beside(table, ">", 1)] : []),
    ...(upto ? [beside(table, "<=", 1 + (after?.length ?? 0))] : []),
    ...wholeKey(table),
  ];
  const columns = table.columns.map(({ name }) => quoted(name)).join(", ");
  const [before, more] = unused(table, ["before", "more"]);
  // The server counts, for rows that do not fit into memory must not come: their sizes are known without reading them.
  const sql = `SELECT ${columns}, ${more} FROM (
      SELECT ${columns}, lead(true) OVER place AS ${more}, sum(${sizeOf(table)}) OVER place - ${sizeOf(table)} AS ${before}
      FROM ${rowsOf(table)} ${conditions.length > 0 ? `WHERE ${conditions.join(" AND ")}` : ""}
      WINDOW place AS (ORDER BY ${keys} ROWS UNBOUNDED PRECEDING) ORDER BY ${keys} LIMIT ${limit}
    ) AS chunk WHERE ${before} < ${chunkBytes} ORDER BY ${keys}`;
  const [[snapshot] = []] = await session.query("SELECT pg_current_snapshot()");
  const rows = await session.query(sql, params).catch(async (error: unknown) => {
    // Another error than that of a table that has just been changed comes back for ever.
    if (isShapeChange(error) && !(await isUnchanged(session, table))) return undefined;
    throw error;
  });
  if (!rows || !(await isUnchanged(session, table))) return undefined;
  return {
    visibility: parseVisibility(snapshot ?? ""),
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

/**
 * Behind the key in the parameters from `from` on, or not behind it. Rows are compared as rows, which is
 * what an index is good at, unless operators of another schema are needed: those cannot be named there.
 */
function beside({ key }: Table, sign: ">" | "<=", from: number): string {
  const bounds = key.map(({ typeName }, n) => `$${from + n}::${typeName}`);
  if (key.every(({ operators }) => operators === "pg_catalog"))
    return `(${key.map(({ name }) => quoted(name)).join(", ")}) ${sign} (${bounds.join(", ")})`;
  const one = (n: number, sign: string) => {
    const { name = "", operators = "" } = key[n] ?? {};
    return `${quoted(name)} OPERATOR(${quoted(operators)}.${sign}) ${bounds[n]}`;
  };
  const cases = key.map((_, n) =>
    [...key.slice(0, n).map((_, before) => one(before, "=")), one(n, ">")].join(" AND "),
  );
  const isBehind = `(${cases.map((one) => `(${one})`).join(" OR ")})`;
  // The first column's bound is for the index.
  return sign === ">" ? `${one(0, ">=")} AND ${isBehind}` : `${one(0, "<=")} AND NOT ${isBehind}`;
}

/** Rows with a NULL in their key, as they are now; 0 without a question where there can be none. */
export async function countKeyless(session: Session, table: Table): Promise<number> {
  const isWhole = wholeKey(table);
  if (isWhole.length === 0) return 0;
  const where = table.where === undefined ? "" : ` AND (${table.where})`;
  const [[count] = []] = await session.query(
    `SELECT count(*) FROM ${rowsOf(table)} WHERE NOT (${isWhole.join(" AND ")})${where}`,
  );
  return Number(count);
}

/** A row with a NULL in its key has none. */
function wholeKey({ key }: Table): readonly string[] {
  return key.flatMap(({ name, notNull }) => (notNull ? [] : [`${quoted(name)} IS NOT NULL`]));
}

/** Whether the captured columns are what they were: a value of another type would be read amiss. */
export async function isUnchanged(session: Session, table: Table): Promise<boolean> {
  const { oid, schema, name, columns } = table;
  const [[count] = []] = await session.query(
    `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
       JOIN unnest($4::text[], $5::text[]) AS was(name, type)
         ON was.name = a.attname AND was.type = a.atttypid || ' ' || a.atttypmod
     WHERE c.oid = $1::oid AND n.nspname = $2 AND c.relname = $3`,
    [
      oid,
      schema,
      name,
      columns.map((column) => column.name),
      columns.map(({ type, typmod }) => `${type} ${typmod}`),
    ],
  );
  return Number(count) === columns.length;
}

/** The key of the last row, in the database's order. Null for an empty table. */
export async function largestKey(
  session: Session,
  table: Table,
): Promise<readonly string[] | null> {
  const names = table.key.map(({ name }) => quoted(name));
  const isWhole = wholeKey(table).map((one, at) => `${at === 0 ? "WHERE" : "AND"} ${one}`);
  const [row] = await session.query(
    `SELECT ${names.join(", ")} FROM ${rowsOf(table)} ${isWhole.join(" ")} ORDER BY ${names.map((name) => `${name} DESC`).join(", ")} LIMIT 1`,
  );
  return row ? row.map((text) => text ?? "") : null;
}

/** A query failed because the table, a column or a type of it is not what it was. */
function isShapeChange(error: unknown): boolean {
  const state = sqlState(error);
  return (
    state !== undefined && ["42703", "42P01", "42704", "42883", "42804", "0A000"].includes(state)
  );
}
