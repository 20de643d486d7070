import { z } from "sluice";
import { limitOf, namespaceName, parsed, type Handler, type IndexRow } from "./call.ts";
import type { Database } from "./database.ts";
import {
  advance,
  countOf,
  findNamespace,
  nextChange,
  toNamespace,
  type Namespace,
} from "./namespace.ts";
import { openPage, pageToken } from "./page.ts";
import { applyRemove } from "./remove.ts";
import { invalid, notFound, Refusal } from "./refusal.ts";

const createBody = z.object({
  name: namespaceName,
  schema: z
    .object({ fields: z.record(z.string(), z.object({ filterable: z.boolean() })) })
    .nullish(),
});

// Creating and deleting namespaces is visible at once, whatever the delay of writes.
export const createNamespace: Handler = ({ database, index, body }) => {
  const { name, schema } = parsed(createBody, body);
  if (!Object(body).name) throw invalid("a namespace to be created needs a name");
  if (findNamespace(database, index.id, name)?.live === true)
    throw new Refusal(409, 6, `Namespace ${name} already exists`);
  const home = advance(database, index.id, name);
  database.run("UPDATE namespaces SET visible = lsn, schema = ? WHERE id = ?", [
    schema == null ? null : JSON.stringify(schema),
    home.id,
  ]);
  return {
    body: shown(database, index, { ...home, schema: schema ?? undefined }),
    written: home.lsn,
  };
};

export const listNamespaces: Handler = ({ database, index, query }) => {
  const limit = limitOf(query, "limit", { standard: 100, max: 100 });
  const prefix = query.get("prefix") ?? "";
  const scope = { kind: "namespaces", prefix };
  const after = openPage(query.get("paginationToken"), scope);
  const rows = database.rows(
    `SELECT * FROM namespaces
     WHERE "index" = ? AND live = 1 AND substr(name, 1, length(?)) = ? AND name > ?
     ORDER BY name LIMIT ?`,
    [index.id, prefix, prefix, after, limit + 1],
  );
  const [total] = database.rows(
    `SELECT count(*) count FROM namespaces WHERE "index" = ? AND live = 1 AND substr(name, 1, length(?)) = ?`,
    [index.id, prefix, prefix],
  );
  const page = rows.slice(0, limit).map((row) => toNamespace(row));
  const next = rows.length > limit ? pageToken(scope, page.at(-1)?.name ?? "") : undefined;
  return {
    body: {
      namespaces: page.map((home) => shown(database, index, home)),
      ...(next !== undefined && { pagination: { next } }),
      total_count: Number(total?.["count"]),
    },
  };
};

export const describeNamespace: Handler = ({ database, index, subject }) => {
  const home = findNamespace(database, index.id, subject);
  if (home?.live !== true) throw notFound("Namespace not found");
  return { body: shown(database, index, home), indexed: home.visible };
};

export const deleteNamespace: Handler = ({ database, index, subject }) => {
  if (findNamespace(database, index.id, subject)?.live !== true)
    throw notFound("Namespace not found");
  const { id, lsn } = advance(database, index.id, subject);
  applyRemove(database, id, nextChange(database, id), "all");
  database.run("DELETE FROM pending WHERE namespace = ?", [id]);
  database.run("UPDATE namespaces SET live = 0, visible = lsn, schema = NULL WHERE id = ?", [id]);
  return { body: {}, written: lsn };
};

function shown(database: Database, index: IndexRow, { id, name, schema }: Namespace): object {
  const record_count = countOf(database, id);
  return {
    name,
    record_count,
    // Approximate with the real service too: here it is the dense values.
    size_bytes: record_count * index.dimension * Float32Array.BYTES_PER_ELEMENT,
    ...(schema != null && {
      schema,
      indexed_fields: { fields: Object.keys((schema as { fields: object }).fields) },
    }),
  };
}
