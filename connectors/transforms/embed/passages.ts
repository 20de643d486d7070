import type { Context, Embedder, PoisonError, StateStore } from "sluice";
import { singleFlight } from "../../_shared/vector-sync/single-flight.ts";
import { textEmbedding } from "../../_shared/vector-sync/text-embedding.ts";
import { vectorCache, type Keeping } from "../../_shared/vector-sync/vector-cache.ts";

export interface Passages {
  /** By embedKey. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  /** Texts the embedder will never take, by embedKey. */
  readonly refused: ReadonlyMap<string, PoisonError>;
}

/**
 * Vectors of passages: from the cache in state, else from whoever of this process is asking for them already,
 * else embedded, equal texts once.
 */
export function passageVectors(options: {
  readonly embedder: Embedder;
  readonly state: StateStore;
  readonly maxCacheBytes: number;
  readonly meter: Context<unknown>["meter"];
}): (
  texts: ReadonlyMap<string, string>,
  run: { readonly signal: AbortSignal },
) => Promise<Passages> {
  const { embedder, state, meter } = options;
  const { dimensions } = embedder;
  const cache = vectorCache({ state, dimensions, maxBytes: options.maxCacheBytes });
  const embedInto = textEmbedding({ embedder, meter });
  const flights = singleFlight<string, Float32Array>();

  async function store({ take, stored }: Keeping): Promise<void> {
    const writes = take();
    // No fence: a vector is the same whoever writes it.
    if (writes.length > 0) await stored(await state.each(writes));
  }

  return async (texts, run) => {
    const vectors = new Map<string, Float32Array>();
    const refused = new Map<string, PoisonError>();
    if (texts.size === 0) return { vectors, refused };
    const { theirs, done } = flights.enter([...texts.keys()]);
    try {
      const lookup = await cache.lookUp([...texts.keys()]);
      if (lookup.found.size > 0) meter("vector_cache_hits", lookup.found.size);
      for (const [embedKey, vector] of lookup.found) vectors.set(embedKey, vector);
      const fresh = new Map<string, Float32Array>();
      try {
        const unknown = [...texts].filter(([key]) => !vectors.has(key));
        const own = unknown.filter(([key]) => !theirs.has(key));
        await embedInto({ vectors: fresh, refused }, own, run);
        for (const [embedKey] of unknown) {
          const vector = await theirs.get(embedKey);
          if (vector) vectors.set(embedKey, vector);
        }
        // Whoever was asking for them failed.
        const left = unknown.filter(([key]) => theirs.has(key) && !vectors.has(key));
        await embedInto({ vectors: fresh, refused }, left, run);
      } finally {
        // What was paid for is not asked for again, whatever happened to the rest.
        for (const [embedKey, vector] of fresh) vectors.set(embedKey, vector);
        await store(lookup.keep(fresh));
      }
      return { vectors, refused };
    } finally {
      done(vectors);
    }
  };
}
