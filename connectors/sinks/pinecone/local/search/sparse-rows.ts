import { sparseOf, type SparseVector } from "../row.ts";
import type { Part } from "./part.ts";

/** The sparse parts of a namespace's vectors. */
export interface SparseRows extends Part {
  /** Calls `found` for each slot that shares an index with the query. */
  readonly match: (query: SparseVector, found: (slot: number, dot: number) => void) => void;
}

export function openSparseRows(): SparseRows {
  const rows = new Map<number, SparseVector>();
  return {
    reads: ["sparse"],
    set: (slot, row) => {
      const sparse = sparseOf(row);
      if (sparse === undefined) rows.delete(slot);
      else rows.set(slot, sparse);
    },
    move: (from, to) => {
      const row = rows.get(from);
      if (row === undefined) rows.delete(to);
      else rows.set(to, row);
    },
    cut: (size) => {
      for (const slot of rows.keys()) if (slot >= size) rows.delete(slot);
    },
    match: (query, found) => {
      const weights = weightsOf(query);
      for (const [slot, row] of rows) {
        const dot = sparseDot(weights, row);
        if (dot !== undefined) found(slot, dot);
      }
    },
  };
}

export function weightsOf({ indices, values }: SparseVector): ReadonlyMap<number, number> {
  return new Map(indices.map((index, at) => [index, values[at] ?? 0]));
}

/** `undefined` when they share no index. */
export function sparseDot(
  weights: ReadonlyMap<number, number>,
  { indices, values }: SparseVector,
): number | undefined {
  let dot: number | undefined;
  for (let at = 0; at < indices.length; at++) {
    const weight = weights.get(indices[at] ?? -1);
    if (weight !== undefined) dot = (dot ?? 0) + weight * (values[at] ?? 0);
  }
  return dot;
}
