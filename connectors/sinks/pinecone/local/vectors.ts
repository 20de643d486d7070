import { z } from "sluice";
import { limitOf, namespaceName, parsed, usage, type Handler } from "./call.ts";
import {
  checkId,
  checkIds,
  checkMetadata,
  checkSparse,
  limits,
  metadata,
  sparseValues,
  toStored,
} from "./check.ts";
import type { Database, Row } from "./database.ts";
import { compileFilter } from "./filter.ts";
import { advance, findNamespace } from "./namespaces.ts";
import { openPage, pageToken } from "./page.ts";
import { invalid, notFound } from "./refusal.ts";
import { toBytes, toRecord } from "./row.ts";

const upsertBody = z.object({
  namespace: namespaceName,
  vectors: z.array(
    z.object({
      id: z.string(),
      values: z.array(z.number(), "Vector values must be a list of numbers"),
      metadata: metadata.nullish(),
      sparseValues: sparseValues.nullish(),
    }),
  ),
});

export const upsert: Handler = ({ database, index, body }) => {
  const { namespace, vectors } = parsed(upsertBody, body);
  if (vectors.length === 0 || vectors.length > limits.vectors) {
    throw invalid(`upsert takes 1 to ${limits.vectors} vectors, got ${vectors.length}`);
  }
  const { id: home, lsn } = advance(database, index.id, namespace);
  for (const vector of vectors) {
    checkId(vector.id);
    const { bytes, norm } = toBytes(toStored(vector.values, index.dimension, vector.id));
    database.run(
      `INSERT INTO vectors (namespace, id, embedding, norm, metadata, sparse) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (namespace, id) DO UPDATE SET embedding = excluded.embedding, norm = excluded.norm,
         metadata = excluded.metadata, sparse = excluded.sparse`,
      [
        home,
        vector.id,
        bytes,
        norm,
        vector.metadata ? checkMetadata(vector.metadata) : null,
        vector.sparseValues ? checkSparse(vector.sparseValues) : null,
      ],
    );
  }
  return { body: { upsertedCount: vectors.length }, written: lsn };
};

export const fetchByIds: Handler = ({ database, index, query }) => {
  const ids = query.getAll("ids");
  checkIds(ids, "fetch");
  const name = query.get("namespace") ?? "";
  const home = findNamespace(database, index.id, namespaceName.parse(name));
  const rows = database.rows(
    "SELECT * FROM vectors WHERE namespace = ? AND id IN (SELECT value FROM json_each(?))",
    [home?.id ?? 0, JSON.stringify(ids)],
  );
  return { body: { vectors: byId(rows), namespace: name, usage }, indexed: home?.lsn ?? 0 };
};

export const fetchByMetadata: Handler = ({ database, index, body }) => {
  const request = parsed(
    z.object({
      namespace: namespaceName,
      filter: z.unknown().optional(),
      limit: z.number().int().min(1).max(1_000).default(100),
      paginationToken: z.string().nullish(),
    }),
    body,
  );
  const filter = compileFilter(request.filter);
  const scope = { namespace: request.namespace };
  const home = findNamespace(database, index.id, request.namespace);
  const rows = database.rowsOnce(
    `SELECT * FROM vectors v WHERE namespace = ? AND id > ? AND ${filter.sql} ORDER BY id LIMIT ?`,
    [home?.id ?? 0, openPage(request.paginationToken, scope), ...filter.values, request.limit + 1],
  );
  const page = rows.slice(0, request.limit);
  return {
    body: {
      vectors: byId(page),
      namespace: request.namespace,
      usage,
      ...(rows.length > page.length && {
        pagination: { next: pageToken(scope, String(page.at(-1)?.["id"])) },
      }),
    },
    indexed: home?.lsn ?? 0,
  };
};

export const list: Handler = ({ database, index, query }) => {
  const limit = limitOf(query, "limit", { standard: 100, max: 1_000 });
  const name = query.get("namespace") ?? "";
  const namespace = namespaceName.parse(name);
  const prefix = query.get("prefix") ?? "";
  const scope = { namespace, prefix };
  const after = openPage(query.get("paginationToken"), scope);
  const home = findNamespace(database, index.id, namespace);
  // SQLite orders by bytes, and no ASCII id reaches the last code point.
  const rows = database.rows(
    "SELECT id FROM vectors WHERE namespace = ? AND id >= ? AND id < ? AND id > ? ORDER BY id LIMIT ?",
    [home?.id ?? 0, prefix, `${prefix}\u{10ffff}`, after, limit + 1],
  );
  const page = rows.slice(0, limit);
  return {
    body: {
      vectors: page.map(({ id }) => ({ id })),
      ...(rows.length > limit && {
        pagination: { next: pageToken(scope, String(page.at(-1)?.["id"])) },
      }),
      namespace: name,
      usage,
    },
    indexed: home?.lsn ?? 0,
  };
};

export const remove: Handler = ({ database, index, body }) => {
  const request = parsed(
    z.object({
      namespace: namespaceName,
      ids: z.array(z.string()).nullish(),
      filter: z.unknown().optional(),
      deleteAll: z.boolean().nullish(),
    }),
    body,
  );
  const { ids, filter, deleteAll } = request;
  const ways = [ids != null, filter != null, deleteAll === true].filter(Boolean).length;
  if (ways !== 1) throw invalid("delete takes exactly one of ids, filter and deleteAll");
  if (ids != null) checkIds(ids, "delete");
  const condition = filter == null ? undefined : compileFilter(filter);
  if (findNamespace(database, index.id, request.namespace)?.live !== true)
    throw notFound("Namespace not found");
  const { id: home, lsn } = advance(database, index.id, request.namespace);
  if (ids != null) {
    database.run(
      "DELETE FROM vectors WHERE namespace = ? AND id IN (SELECT value FROM json_each(?))",
      [home, JSON.stringify(ids)],
    );
  } else if (condition !== undefined) {
    const found = matching(database, home, condition);
    database.run("DELETE FROM vectors WHERE number IN (SELECT value FROM json_each(?))", [
      JSON.stringify(found.map((row) => row["number"])),
    ]);
  } else {
    database.run("DELETE FROM vectors WHERE namespace = ?", [home]);
  }
  return { body: {}, written: lsn };
};

export const stats: Handler = ({ database, index, body }) => {
  const { filter } = parsed(
    z.object({ filter: z.unknown().optional() }).default({ filter: null }),
    body ?? undefined,
  );
  if (filter != null) throw invalid("describe_index_stats takes no filter on a serverless index");
  const rows = database.rows(
    `SELECT name, (SELECT count(*) FROM vectors WHERE namespace = n.id) count
     FROM namespaces n WHERE "index" = ? AND live = 1 ORDER BY name`,
    [index.id],
  );
  const counts = rows.map(
    (row) =>
      [row["name"] === "__default__" ? "" : String(row["name"]), Number(row["count"])] as const,
  );
  return {
    body: {
      namespaces: Object.fromEntries(counts.map(([name, vectorCount]) => [name, { vectorCount }])),
      dimension: index.dimension,
      indexFullness: 0,
      totalVectorCount: counts.reduce((sum, [, count]) => sum + count, 0),
      metric: index.metric,
      vectorType: "dense",
    },
  };
};

/** The vectors of a namespace that a compiled filter selects, without their values. */
export function matching(
  database: Database,
  namespace: number,
  condition: ReturnType<typeof compileFilter>,
): readonly Row[] {
  return database.rowsOnce(
    `SELECT number, id, metadata FROM vectors v WHERE namespace = ? AND ${condition.sql} ORDER BY id`,
    [namespace, ...condition.values],
  );
}

function byId(rows: readonly Row[]) {
  return Object.fromEntries(rows.map((row) => [row["id"], toRecord(row)]));
}
