import { z } from "sluice";
import { namespaceName, parsed, usage, type Handler, type Metric } from "./call.ts";
import { checkSparse, limits, sparseValues, toFloats } from "./check.ts";
import type { Row } from "./database.ts";
import { compileFilter } from "./filter.ts";
import { findNamespace } from "./namespaces.ts";
import { invalid } from "./refusal.ts";
import { normOf, toBytes, toRecord, valuesOf } from "./row.ts";

const maxAnswerBytes = 4 * 1024 * 1024;
const queryBody = z.object({
  namespace: namespaceName,
  topK: z.number("topK must be a number").int().min(1).max(limits.topK),
  vector: z.array(z.number()).nullish(),
  id: z.string().nullish(),
  sparseVector: sparseValues.nullish(),
  filter: z.unknown().optional(),
  includeValues: z.boolean().nullish(),
  includeMetadata: z.boolean().nullish(),
});

/**
 * Exact search: SQLite orders all vectors by libsql's float32 distance, then the best are scored in
 * double precision and ties ordered by id.
 */
export const query: Handler = ({ database, index, body }) => {
  const request = parsed(queryBody, body);
  const given = request.vector?.length ? request.vector : undefined;
  if ((given === undefined) === (request.id == null))
    throw invalid("query takes exactly one of vector and id");
  const sparse = request.sparseVector == null ? undefined : checkSparse(request.sparseVector);
  if (sparse !== undefined && index.metric !== "dotproduct") {
    throw invalid(`a sparse vector needs an index of metric dotproduct, not ${index.metric}`);
  }
  const filter = request.filter == null ? { sql: "1", values: [] } : compileFilter(request.filter);
  const home = findNamespace(database, index.id, request.namespace);
  const indexed = home?.lsn ?? 0;
  const answer = (matches: readonly unknown[]) => ({
    body: { matches, namespace: request.namespace, usage },
    indexed,
  });
  const [named] = database.rows("SELECT embedding FROM vectors WHERE namespace = ? AND id = ?", [
    home?.id ?? 0,
    request.id ?? "",
  ]);
  const vector = given ? toFloats(given, index.dimension) : named && valuesOf(named);
  if (home === undefined || vector === undefined) return answer([]);

  const { sql, values } = distance(index.metric, vector, sparse);
  const columns =
    "id, embedding, norm, sparse" + (request.includeMetadata === true ? ", metadata" : "");
  const rows = database.rowsOnce(
    `SELECT ${columns} FROM vectors v WHERE namespace = ? AND ${filter.sql} ORDER BY ${sql}, id LIMIT ?`,
    [home.id, ...filter.values, ...values, request.topK],
  );
  const score = scorer(index.metric, vector, sparse);
  const parts = {
    values: request.includeValues === true,
    metadata: request.includeMetadata === true,
  };
  const ascending = index.metric === "euclidean" ? 1 : -1;
  const matches = rows
    .map((row) => ({ ...toRecord(row, parts), score: score(row) }))
    .toSorted((a, b) => ascending * (a.score - b.score) || (a.id < b.id ? -1 : 1));
  const bytes = matches.reduce((sum, match) => sum + JSON.stringify(match).length, 0);
  if (bytes > maxAnswerBytes) {
    throw invalid(
      `the answer to the query has ${bytes} bytes, over the limit of ${maxAnswerBytes}: lower topK or leave out values`,
    );
  }
  return answer(matches);
};

/** An SQL expression that is smallest for the best match. */
function distance(metric: Metric, vector: Float32Array, sparse: string | undefined) {
  const { bytes, norm } = toBytes(vector);
  // libsql answers null for a zero vector; every score is then equal.
  const cosine = "coalesce(vector_distance_cos(embedding, ?), 1)";
  switch (metric) {
    case "cosine":
      return { sql: cosine, values: [bytes] };
    case "euclidean":
      return { sql: "vector_distance_l2(embedding, ?)", values: [bytes] };
    case "dotproduct": {
      const dense = `(${cosine} - 1) * norm * ?`;
      if (sparse === undefined) return { sql: dense, values: [bytes, norm] };
      const overlap =
        "(SELECT coalesce(sum(a.value * b.value), 0) FROM json_each(v.sparse) a JOIN json_each(?) b ON a.key = b.key)";
      return { sql: `${dense} - ${overlap}`, values: [bytes, norm, sparse] };
    }
  }
}

function scorer(
  metric: Metric,
  vector: Float32Array,
  sparse: string | undefined,
): (row: Row) => number {
  const norm = normOf(vector);
  const weights = sparse === undefined ? {} : (JSON.parse(sparse) as Record<string, number>);
  return (row) => {
    const values = valuesOf(row);
    let dot = 0;
    let squares = 0;
    for (const [at, value] of values.entries()) {
      const other = vector[at] ?? 0;
      dot += value * other;
      squares += (value - other) ** 2;
    }
    if (metric === "euclidean") return squares;
    if (metric === "cosine") return norm === 0 ? 0 : dot / (norm * Number(row["norm"]));
    if (typeof row["sparse"] === "string") {
      const stored = JSON.parse(row["sparse"]) as Record<string, number>;
      for (const [at, value] of Object.entries(weights)) dot += value * (stored[at] ?? 0);
    }
    return dot;
  };
}
