import type { IndexRow } from "../call.ts";
import type { Database } from "../database.ts";
import type { Filter } from "../filter.ts";
import type { SparseVector } from "../row.ts";
import { kthGreatest } from "./kth.ts";
import type { Mirror } from "./mirror.ts";
import { byRank, scorer, type Scored } from "./score.ts";

export interface Search {
  readonly index: IndexRow;
  /** Absent on a sparse index. */
  readonly vector: Float32Array | undefined;
  readonly sparse: SparseVector | undefined;
  readonly filter: Filter | undefined;
  readonly topK: number;
}

const rowsAtOnce = 1_000;
// Sparse products are summed in another order than scores are.
const fuzz = 1e-9;

/**
 * The exact best matches, best first. Memory only says which vectors cannot be among them; all others are read
 * and scored as they are stored.
 */
export function nearest(database: Database, mirror: Mirror, search: Search): readonly Scored[] {
  const { index, topK, filter } = search;
  const selected = filter === undefined ? undefined : mirror.select(database, filter);
  const candidates = candidatesOf(database, mirror, search, selected);
  const score = scorer(index.metric, search);
  const order = byRank(index.metric);
  let best: Scored[] = [];
  for (let at = 0; at < candidates.length; at += rowsAtOnce) {
    const numbers = JSON.stringify(candidates.slice(at, at + rowsAtOnce));
    const rows = database.rows(
      "SELECT number, id, embedding, norm, sparse FROM vectors WHERE number IN (SELECT value FROM json_each(?))",
      [numbers],
    );
    for (const row of rows)
      best.push({ number: Number(row["number"]), id: String(row["id"]), score: score(row) });
    best = best.toSorted(order).slice(0, topK);
  }
  return best;
}

/** Numbers of the vectors whose greatest possible key reaches the k-th greatest of the least possible ones. */
function candidatesOf(
  database: Database,
  mirror: Mirror,
  { index, vector, sparse, topK }: Search,
  selected: Uint8Array | undefined,
): number[] {
  const size = mirror.size();
  const { low, high } = mirror.scratch();
  // A sparse index finds only what shares an index with the query.
  let eligible = selected;
  if (vector === undefined) {
    eligible = new Uint8Array(size);
    low.fill(0);
    high.fill(0);
  } else {
    const codes = mirror.codes(database);
    if (codes.full()) {
      low.fill(-Infinity);
      high.fill(Infinity);
    } else codes.bounds(vector, size, low, high);
  }
  if (sparse !== undefined && index.metric === "dotproduct") {
    mirror.sparse(database).match(sparse, (slot, dot) => {
      const wrong = fuzz * Math.abs(dot);
      low[slot] = (low[slot] ?? 0) + dot - wrong;
      high[slot] = (high[slot] ?? 0) + dot + wrong;
      if (vector === undefined && eligible !== undefined) eligible[slot] = selected?.[slot] ?? 1;
    });
  }
  const least = kthGreatest(low.subarray(0, size), topK, eligible);
  const candidates: number[] = [];
  for (let slot = 0; slot < size; slot++)
    if ((high[slot] ?? 0) >= least && (eligible === undefined || eligible[slot] === 1))
      candidates.push(mirror.number(slot));
  return candidates;
}
