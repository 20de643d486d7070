import type { Chunk, DocumentUpserted, Embedder, PoisonError } from "sluice";
import { embeddedText } from "../../_shared/embedders/embedded-text.ts";
import { embedKeyOf } from "../../_shared/vector-sync/content-hash.ts";
import { parseVector, toBase64 } from "../../_shared/vector-sync/float32.ts";
import type { Passages } from "./passages.ts";

type Model = Pick<Embedder, "fingerprint" | "dimensions">;

interface KeyedChunk {
  readonly chunk: Chunk;
  readonly embedKey: string;
  /** It came with a vector of this model. */
  readonly isDone: boolean;
}

/** A document's chunks with the names of their vectors. */
export function keyedChunks(
  { data }: DocumentUpserted,
  { fingerprint, dimensions }: Model,
): readonly KeyedChunk[] {
  return (data.chunks ?? []).map((chunk) => {
    const embedKey = embedKeyOf(fingerprint, embeddedText(chunk));
    const { vector } = chunk;
    const isOurs = chunk.embedKey === embedKey && vector !== undefined;
    return { chunk, embedKey, isDone: isOurs && parseVector(vector, dimensions) !== undefined };
  });
}

/** What must be embedded for them, by embedKey. */
export function textsOf(chunks: readonly KeyedChunk[]): ReadonlyMap<string, string> {
  return new Map(
    chunks
      .filter(({ isDone }) => !isDone)
      .map(({ chunk, embedKey }) => [embedKey, embeddedText(chunk)]),
  );
}

/** The document with its vectors, or why one of its chunks can never have one. */
export function embedded(
  event: DocumentUpserted,
  chunks: readonly KeyedChunk[],
  { vectors, refused }: Passages,
  { fingerprint }: Model,
): DocumentUpserted | PoisonError {
  const made: Chunk[] = [];
  for (const { chunk, embedKey, isDone } of chunks) {
    const vector = vectors.get(embedKey);
    const refusal = refused.get(embedKey);
    if (!isDone && refusal) return refusal;
    if (isDone || !vector) made.push(chunk);
    else made.push({ ...chunk, embedKey, vector: toBase64(vector) });
  }
  const { data } = event;
  return { ...event, data: { ...data, ...(data.chunks && { chunks: made }), model: fingerprint } };
}
