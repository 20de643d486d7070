import type { Context, Embedder, PoisonError, VectorStore, WriteRun } from "sluice";
import { bisect } from "./bisect.ts";
import { vectorIdOf } from "./doc-key.ts";
import { checkLease } from "./lease-end.ts";
import { packs } from "./packs.ts";
import type { Plan } from "./plan.ts";
import type { VectorCache } from "./vector-cache.ts";

export interface Embedded {
  /** By embedKey. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  /** Texts the embedder will never take, by embedKey. */
  readonly refused: ReadonlyMap<string, PoisonError>;
}

/**
 * Finds the vector of every chunk that will be written, for all documents of a batch at once: given
 * with the event, else cached, else (metadata-only changes) read back from the index, else embedded,
 * equal texts once.
 */
export function embeddingPass(options: {
  readonly embedder: Embedder;
  readonly store: VectorStore;
  readonly cache: VectorCache;
  readonly namespace: string;
  readonly meter: Context<unknown>["meter"];
}): (plans: readonly Plan[], run: WriteRun) => Promise<Embedded> {
  const { embedder, store, cache, namespace, meter } = options;

  /** Vectors whose text did not change are in the index already. */
  async function readBack(ids: ReadonlyMap<string, string>, run: WriteRun) {
    const vectors = new Map<string, Float32Array>();
    for (const pack of packs([...ids.keys()], { maxCount: store.limits.maxFetchIds })) {
      checkLease(run);
      for (const { id, values } of await store.fetch(pack, { namespace, signal: run.signal })) {
        const embedKey = ids.get(id);
        if (embedKey !== undefined && values.length === embedder.dimensions)
          vectors.set(embedKey, values);
      }
    }
    return vectors;
  }

  async function embedInto(
    vectors: Map<string, Float32Array>,
    refused: Map<string, PoisonError>,
    texts: readonly (readonly [embedKey: string, text: string])[],
    signal: AbortSignal,
  ): Promise<void> {
    const { maxTexts, maxTokensPerRequest } = embedder;
    for (const pack of packs(texts, {
      maxCount: maxTexts,
      maxSize: maxTokensPerRequest,
      // Counting costs time: only where it can matter.
      sizeOf: ([, text]) => (maxTokensPerRequest < Infinity ? embedder.countTokens(text) : 0),
    }))
      await bisect(
        pack,
        async (some) => {
          const made = await embedder.embed(
            some.map(([, text]) => text),
            { input: "passage", signal },
          );
          meter("embeds", some.length);
          for (const [at, [embedKey]] of some.entries()) {
            const vector = made[at];
            if (vector !== undefined) vectors.set(embedKey, vector);
          }
        },
        ([embedKey], error) => refused.set(embedKey, error),
      );
  }

  return async (plans, run) => {
    const vectors = new Map<string, Float32Array>();
    const refused = new Map<string, PoisonError>();
    const texts = new Map<string, string>();
    const inIndex = new Map<string, string>();
    for (const { held, diff } of plans)
      for (const { kind, chunk } of diff.writes) {
        if (chunk.given !== undefined) vectors.set(chunk.embedKey, chunk.given);
        else texts.set(chunk.embedKey, chunk.embeddedText);
        if (kind === "meta") inIndex.set(vectorIdOf(held.docKey, chunk.id), chunk.embedKey);
      }
    for (const embedKey of vectors.keys()) texts.delete(embedKey);
    if (texts.size === 0) return { vectors, refused };

    const lookup = await cache.lookUp([...texts.keys()]);
    if (lookup.found.size > 0) meter("vector_cache_hits", lookup.found.size);
    for (const [embedKey, vector] of lookup.found) vectors.set(embedKey, vector);

    const missing = [...inIndex].filter(([, embedKey]) => !vectors.has(embedKey));
    const fresh = await readBack(new Map(missing), run);
    try {
      const unknown = [...texts].filter(([key]) => !vectors.has(key) && !fresh.has(key));
      await embedInto(fresh, refused, unknown, run.signal);
    } finally {
      // Also when a later request failed: what was paid for is not asked for again.
      await lookup.keep(fresh, run.fence);
    }
    for (const [embedKey, vector] of fresh) vectors.set(embedKey, vector);
    return { vectors, refused };
  };
}
