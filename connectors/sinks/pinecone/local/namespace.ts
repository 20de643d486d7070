import type { Database, Row } from "./database.ts";

/** A namespace as stored. It outlives its deletion with `live: false`, so its LSNs never start again. */
export interface Namespace {
  readonly id: number;
  readonly name: string;
  /** LSN of the newest accepted write. */
  readonly lsn: number;
  /** LSN of the newest write that reads see. */
  readonly visible: number;
  readonly live: boolean;
  /** Counts what was applied to its vectors, direct edits included: what memory follows. */
  readonly change: number;
  /** `change` when a vector was last removed. */
  readonly removed: number;
  readonly schema: unknown;
}

/** `undefined` when it never was. */
export function findNamespace(
  database: Database,
  index: number,
  name: string,
): Namespace | undefined {
  const [row] = database.rows(`SELECT * FROM namespaces WHERE "index" = ? AND name = ?`, [
    index,
    name,
  ]);
  return row && toNamespace(row);
}

/** Takes the next LSN of a namespace, which comes into being with its first write. */
export function advance(database: Database, index: number, name: string): Namespace {
  const [row] = database.rows(
    `INSERT INTO namespaces ("index", name, lsn, live) VALUES (?, ?, 1, 1)
     ON CONFLICT ("index", name) DO UPDATE SET lsn = lsn + 1, live = 1 RETURNING *`,
    [index, name],
  );
  if (row === undefined) throw new Error("the namespace was not stored");
  return toNamespace(row);
}

/** Counts one more change of its vectors and says its number. */
export function nextChange(database: Database, id: number): number {
  const [row] = database.rows(
    "UPDATE namespaces SET change = change + 1 WHERE id = ? RETURNING change",
    [id],
  );
  return Number(row?.["change"]);
}

export function toNamespace(row: Row): Namespace {
  return {
    id: Number(row["id"]),
    name: String(row["name"]),
    lsn: Number(row["lsn"]),
    visible: Number(row["visible"]),
    live: row["live"] === 1,
    change: Number(row["change"]),
    removed: Number(row["removed"]),
    schema: typeof row["schema"] === "string" ? JSON.parse(row["schema"]) : undefined,
  };
}

export function countOf(database: Database, id: number): number {
  const [row] = database.rows("SELECT count(*) count FROM vectors WHERE namespace = ?", [id]);
  return Number(row?.["count"]);
}
