import { z } from "sluice";
import { limitOf, namespaceName, parsed, type Handler } from "./call.ts";
import type { Database } from "./database.ts";
import { openPage, pageToken } from "./page.ts";
import { notFound, Refusal } from "./refusal.ts";

export interface Namespace {
  readonly id: number;
  readonly lsn: number;
  readonly live: boolean;
}

/** The namespace as stored, `live: false` when it was deleted; `undefined` when it never was. */
export function findNamespace(
  database: Database,
  index: number,
  name: string,
): Namespace | undefined {
  const [row] = database.rows(
    `SELECT id, lsn, live FROM namespaces WHERE "index" = ? AND name = ?`,
    [index, name],
  );
  return row && { id: Number(row["id"]), lsn: Number(row["lsn"]), live: row["live"] === 1 };
}

/** Takes the next LSN of a namespace, which comes into being with its first write. */
export function advance(database: Database, index: number, name: string): Namespace {
  const [row] = database.rows(
    `INSERT INTO namespaces ("index", name, lsn, live) VALUES (?, ?, 1, 1)
     ON CONFLICT ("index", name) DO UPDATE SET lsn = lsn + 1, live = 1 RETURNING id, lsn`,
    [index, name],
  );
  return { id: Number(row?.["id"]), lsn: Number(row?.["lsn"]), live: true };
}

export const createNamespace: Handler = ({ database, index, body }) => {
  const { name } = parsed(z.object({ name: namespaceName }), body);
  if (findNamespace(database, index.id, name)?.live === true) {
    throw new Refusal(409, 6, `Namespace ${name} already exists`);
  }
  const { lsn } = advance(database, index.id, name);
  return { body: { name, record_count: 0 }, written: lsn };
};

export const listNamespaces: Handler = ({ database, index, query }) => {
  const limit = limitOf(query, "limit", { standard: 100, max: 100 });
  const prefix = query.get("prefix") ?? "";
  const scope = { kind: "namespaces", prefix };
  const after = openPage(query.get("paginationToken"), scope);
  const rows = database.rows(
    `SELECT n.name, (SELECT count(*) FROM vectors WHERE namespace = n.id) count FROM namespaces n
     WHERE "index" = ? AND live = 1 AND name >= ? AND substr(name, 1, length(?)) = ? AND name > ?
     ORDER BY name LIMIT ?`,
    [index.id, prefix, prefix, prefix, after, limit + 1],
  );
  const [total] = database.rows(
    `SELECT count(*) count FROM namespaces WHERE "index" = ? AND live = 1 AND substr(name, 1, length(?)) = ?`,
    [index.id, prefix, prefix],
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    body: {
      namespaces: page.map((row) => ({ name: row["name"], record_count: row["count"] })),
      ...(rows.length > limit && {
        pagination: { next: pageToken(scope, String(last?.["name"])) },
      }),
      total_count: total?.["count"],
    },
  };
};

export const describeNamespace: Handler = ({ database, index, subject }) => {
  const found = findNamespace(database, index.id, subject);
  if (found?.live !== true) throw notFound("Namespace not found");
  const [row] = database.rows("SELECT count(*) count FROM vectors WHERE namespace = ?", [found.id]);
  return { body: { name: subject, record_count: row?.["count"] }, indexed: found.lsn };
};

export const deleteNamespace: Handler = ({ database, index, subject }) => {
  if (findNamespace(database, index.id, subject)?.live !== true)
    throw notFound("Namespace not found");
  const { id, lsn } = advance(database, index.id, subject);
  database.run("DELETE FROM vectors WHERE namespace = ?", [id]);
  database.run("UPDATE namespaces SET live = 0 WHERE id = ?", [id]);
  return { body: {}, written: lsn };
};
