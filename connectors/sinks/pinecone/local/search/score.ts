import type { Metric } from "../call.ts";
import type { Row } from "../database.ts";
import { floatsOf, normOf, sparseOf, type SparseVector } from "../row.ts";
import { sparseDot, weightsOf } from "./sparse-rows.ts";

/** Scores a row in double precision: cosine and dot product, the greater the better; euclidean, squared distance. */
export function scorer(
  metric: Metric,
  query: { readonly vector: Float32Array | undefined; readonly sparse: SparseVector | undefined },
): (row: Row) => number {
  const { vector = new Float32Array(0) } = query;
  const norm = normOf(vector);
  const weights = query.sparse === undefined ? undefined : weightsOf(query.sparse);
  return (row) => {
    const values = floatsOf(row);
    let dot = 0;
    if (metric === "euclidean") {
      for (let i = 0; i < vector.length; i++) dot += ((values[i] ?? 0) - (vector[i] ?? 0)) ** 2;
      return dot;
    }
    for (let i = 0; i < vector.length; i++) dot += (values[i] ?? 0) * (vector[i] ?? 0);
    if (metric === "cosine") return norm === 0 ? 0 : bounded(dot / (norm * Number(row["norm"])));
    const sparse = weights === undefined ? undefined : sparseOf(row);
    if (weights !== undefined && sparse !== undefined) dot += sparseDot(weights, sparse) ?? 0;
    return dot;
  };
}

/** Rounding may bring a cosine just past one. */
function bounded(cosine: number): number {
  return Math.max(-1, Math.min(1, cosine));
}

/** Orders the best first; ties by id. */
export function byRank(metric: Metric): (a: Scored, b: Scored) => number {
  const sign = metric === "euclidean" ? 1 : -1;
  return (a, b) => sign * (a.score - b.score) || (a.id < b.id ? -1 : 1);
}

export interface Scored {
  readonly number: number;
  readonly id: string;
  readonly score: number;
}
