import { namespaceName, parsed, type IndexRow } from "./call.ts";
import {
  checkId,
  checkMetadata,
  limits,
  metadata,
  sparseText,
  toSparse,
  toStored,
} from "./check.ts";
import type { Database } from "./database.ts";
import { invalid } from "./refusal.ts";
import { normOf, toBytes } from "./row.ts";

/** A vector as it is stored. */
interface Stored {
  readonly id: string;
  readonly embedding: Uint8Array;
  readonly norm: number;
  readonly metadata: string | null;
  readonly sparse: string | null;
}

export interface Upsert {
  readonly namespace: string;
  readonly vectors: readonly Stored[];
}

export function parseUpsert(body: unknown, index: IndexRow): Upsert {
  const { namespace, vectors } = parsed(metadata, body);
  if (!Array.isArray(vectors))
    throw invalid(`vectors: expected a list, got ${JSON.stringify(vectors)}`);
  if (vectors.length === 0 || vectors.length > limits.vectors)
    throw invalid(
      `Invalid request: upsert takes 1 to ${limits.vectors} vectors, got ${vectors.length}`,
    );
  return {
    namespace: parsed(namespaceName, namespace),
    vectors: vectors.map((vector: unknown) => toVector(vector, index)),
  };
}

export function checkTwice(vectors: Upsert["vectors"]): void {
  const seen = new Set<string>();
  for (const { id } of vectors) {
    if (seen.has(id)) throw invalid(`Vector ID '${id}' comes twice in one upsert`);
    seen.add(id);
  }
}

export function applyUpsert(
  database: Database,
  home: number,
  change: number,
  { vectors }: Upsert,
): void {
  for (const { id, embedding, norm, metadata, sparse } of vectors) {
    database.run(
      `INSERT INTO vectors (namespace, id, embedding, norm, metadata, sparse, change) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (namespace, id) DO UPDATE SET embedding = excluded.embedding, norm = excluded.norm,
         metadata = excluded.metadata, sparse = excluded.sparse, change = excluded.change`,
      [home, id, embedding, norm, metadata, sparse, change],
    );
  }
}

function toVector(vector: unknown, index: IndexRow): Stored {
  const { id, values, metadata, sparseValues } = Object(vector) as Readonly<
    Record<string, unknown>
  >;
  checkId(id);
  const dense = index.dimension > 0;
  const floats = dense ? toStored(values, index.dimension, id) : new Float32Array(0);
  if (!dense && Array.isArray(values) && values.length > 0)
    throw invalid(`Vector '${id}' has dense values, and the index is sparse: give sparseValues`);
  if (!dense && sparseValues == null)
    throw invalid(`Vector '${id}' has no sparseValues, and the index is sparse`);
  return {
    id,
    embedding: toBytes(floats),
    norm: normOf(floats),
    metadata: metadata == null ? null : checkMetadata(metadata),
    sparse: sparseValues == null ? null : sparseText(toSparse(sparseValues)),
  };
}
