import { z } from "sluice";
import {
  givenNamespace,
  namespaceName,
  parsed,
  usage,
  type Answer,
  type Call,
  type Handler,
  type IndexRow,
} from "./call.ts";
import { checkScoresSparse, toFloats, topK, toSparse } from "./check.ts";
import type { Row } from "./database.ts";
import { parseFilter } from "./filter.ts";
import { findNamespace } from "./namespace.ts";
import { invalid } from "./refusal.ts";
import { floatsOf, sparseOf, toRecord, type SparseVector } from "./row.ts";
import { nearest } from "./search/nearest.ts";
import type { Scored } from "./search/score.ts";

const maxAnswerBytes = 4 * 1024 * 1024;
const rowsAtOnce = 500;
const queryBody = z.object({
  namespace: namespaceName,
  topK: topK,
  vector: z.unknown().optional(),
  id: z.string().nullish(),
  sparseVector: z.unknown().optional(),
  filter: z.unknown().optional(),
  includeValues: z.boolean().nullish(),
  includeMetadata: z.boolean().nullish(),
  // Checked and without effect: the search is exact.
  scanFactor: z.number().min(0.5).max(4).nullish(),
  maxCandidates: z.number().int().min(1).max(100_000).nullish(),
});

interface Question {
  readonly vector: Float32Array | undefined;
  readonly sparse: SparseVector | undefined;
}

/** Exact search: nothing is approximated. */
export const query: Handler = (call) => {
  const { database, index, mirrors, trial } = call;
  const request = parsed(queryBody, call.body);
  if (index.documents) return answerOf(call, []);
  const asked = questionOf(request, index);
  // Here, and only here, an empty filter is none: clients send it.
  const filter = isEmpty(request.filter) ? undefined : parseFilter(request.filter);
  const home = findNamespace(database, index.id, request.namespace);
  const indexed = home?.visible ?? 0;
  const question = asked ?? (home && questionOfId(call, home.id, request.id ?? ""));
  if (home === undefined || question === undefined) return answerOf(call, [], indexed);

  const best = mirrors.use({ database, index, home, once: trial }, (mirror) =>
    nearest(database, mirror, { index, ...question, filter, topK: request.topK }),
  );
  const matches = matchesOf(call, best, {
    values: request.includeValues === true,
    metadata: request.includeMetadata === true,
  });
  return answerOf(call, matches, indexed);
};

function answerOf({ body }: Call, matches: readonly object[], indexed = 0): Answer {
  return { body: { matches, namespace: givenNamespace(body), usage }, indexed };
}

/** `undefined` when the vector is that of a stored id. */
function questionOf(
  request: { readonly vector?: unknown; readonly id?: unknown; readonly sparseVector?: unknown },
  index: IndexRow,
): Question | undefined {
  const { vector, id, sparseVector } = request;
  const dense = vector != null && !(Array.isArray(vector) && vector.length === 0);
  const given = dense || (index.dimension === 0 && sparseVector != null);
  if (id != null && sparseVector != null)
    throw invalid("Cannot provide both 'ID' and 'sparse_vector' at the same time");
  if (!given && id == null && sparseVector != null)
    throw invalid("Cannot query index with dense 'vector_type' with only sparse vector");
  if (dense && index.dimension === 0)
    throw invalid(
      sparseVector == null
        ? "Either 'sparse_vector' or 'ID' must be provided: the index is sparse and takes no vector"
        : "Index configuration does not support dense values: the index is sparse",
    );
  if (given === (id != null)) throw invalid("query takes exactly one of vector and id");
  if (sparseVector != null) checkScoresSparse(index);
  const sparse = sparseVector == null ? undefined : toSparse(sparseVector);
  if (!given) return undefined;
  return { vector: dense ? toFloats(vector, index.dimension, "the query") : undefined, sparse };
}

function questionOfId(
  { database, index }: Call,
  namespace: number,
  id: string,
): Question | undefined {
  const [row] = database.rows(
    "SELECT embedding, sparse FROM vectors WHERE namespace = ? AND id = ?",
    [namespace, id],
  );
  return (
    row && {
      vector: index.dimension > 0 ? floatsOf(row).slice() : undefined,
      sparse: index.metric === "dotproduct" ? sparseOf(row) : undefined,
    }
  );
}

function matchesOf(
  { database }: Call,
  best: readonly Scored[],
  parts: { readonly values: boolean; readonly metadata: boolean },
): readonly object[] {
  const matches: object[] = [];
  let bytes = 0;
  const add = (match: object): void => {
    bytes += Buffer.byteLength(JSON.stringify(match));
    if (bytes > maxAnswerBytes)
      throw invalid(
        `the answer to the query is larger than the limit of ${maxAnswerBytes} bytes: lower topK or leave out values`,
      );
    matches.push(match);
  };
  if (!parts.values && !parts.metadata) {
    for (const { id, score } of best) add({ id, score, values: [] });
    return matches;
  }
  for (let at = 0; at < best.length; at += rowsAtOnce) {
    const some = best.slice(at, at + rowsAtOnce);
    const rows = database.rows(
      "SELECT * FROM vectors WHERE number IN (SELECT value FROM json_each(?))",
      [JSON.stringify(some.map(({ number }) => number))],
    );
    const byNumber = new Map<number, Row>(rows.map((row) => [Number(row["number"]), row]));
    for (const { number, score } of some) {
      const row = byNumber.get(number);
      if (row === undefined) continue;
      add({ ...toRecord(row, parts), score });
    }
  }
  return matches;
}

function isEmpty(filter: unknown): boolean {
  if (filter == null) return true;
  return typeof filter === "object" && !Array.isArray(filter) && Object.keys(filter).length === 0;
}
