import { qualified, quoted, quotedList, rowsOf } from "./identifier.ts";
import type { Table } from "./tables.ts";

export type Operation = "insert" | "update" | "delete" | "truncate";

/** What a publication is to be. */
export interface Wish {
  readonly name: string;
  readonly operations: readonly Operation[];
  readonly tables: readonly Table[];
  /** PostgreSQL 15 brought column lists and row filters. */
  readonly hasLists: boolean;
}

export function createSql({ name, operations, tables, hasLists }: Wish): string {
  const list = tables.map((table) => clause(table, hasLists)).join(", ");
  return `CREATE PUBLICATION ${quoted(name)} FOR TABLE ${list} WITH (publish = '${operations.join(", ")}', publish_via_partition_root = true);`;
}

export function addSql({ name, hasLists }: Wish, tables: readonly Table[]): string {
  const list = tables.map((table) => clause(table, hasLists)).join(", ");
  return `ALTER PUBLICATION ${quoted(name)} ADD TABLE ${list};`;
}

export function dropSql(
  name: string,
  tables: readonly { readonly schema: string; readonly name: string }[],
): string {
  const list = tables.map((table) => `ONLY ${qualified(table)}`).join(", ");
  return `ALTER PUBLICATION ${quoted(name)} DROP TABLE ${list};`;
}

export function setSql(name: string, option: string, value: string): string {
  return `ALTER PUBLICATION ${quoted(name)} SET (${option} = ${value});`;
}

/**
 * The columns a publication must name; `undefined`: it names none and publishes all. Under FULL a
 * list would make the application's updates fail, so there the source itself leaves columns out.
 */
export function columnList(table: Table): readonly string[] | undefined {
  if (!table.hasColumnList) return undefined;
  const captured = table.columns.map(({ name }) => name);
  if (table.insertOnly) return captured;
  if (table.identityColumns === "all") return undefined;
  return [...new Set([...captured, ...table.identityColumns])];
}

/** A table as the publication names it. */
function clause(table: Table, hasLists: boolean): string {
  if (!hasLists) return rowsOf(table);
  const list = columnList(table);
  const columns = list ? ` (${quotedList(list)})` : "";
  const filter = table.where === undefined ? "" : ` WHERE (${table.where}\n)`;
  return `${rowsOf(table)}${columns}${filter}`;
}
