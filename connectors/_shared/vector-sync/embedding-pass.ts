import type { Context, Embedder, PoisonError, StateStore, VectorStore, WriteRun } from "sluice";
import { vectorIdOf } from "./doc-key.ts";
import { packs } from "./packs.ts";
import { vectorsHeld, type Plan } from "./plan.ts";
import { checkLease, storeRun } from "./requests.ts";
import { singleFlight } from "./single-flight.ts";
import { textEmbedding } from "./text-embedding.ts";
import { nothingToKeep, type Keeping, type VectorCache } from "./vector-cache.ts";

export interface Embedded {
  /** By embedKey. */
  readonly vectors: ReadonlyMap<string, Float32Array>;
  /** Texts the embedder will never take, by embedKey. */
  readonly refused: ReadonlyMap<string, PoisonError>;
  /** What was paid for, to be written to the cache with the next write to state. */
  readonly keeping: Keeping;
}

/** Of plans that write no vectors. */
export const noVectors: Embedded = {
  vectors: new Map(),
  refused: new Map(),
  keeping: nothingToKeep,
};

/** A vector that the index holds under the same embedKey already. */
interface Place {
  readonly namespace: string;
  readonly id: string;
  /** The `_h` it must carry to be believed. */
  readonly mark: string;
}

/**
 * Finds the vector of every chunk that will be written, for all documents of a batch at once: given
 * with the event, else cached, else read back from the index (metadata that changed, a record that
 * moved), else embedded, equal texts once, whichever batches of this process ask for them.
 */
export function embeddingPass(options: {
  readonly embedder: Embedder;
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly cache: VectorCache;
  readonly meter: Context<unknown>["meter"];
}): (plans: readonly Plan[], run: WriteRun) => Promise<Embedded> {
  const { embedder, store, state, cache, meter } = options;
  const embedInto = textEmbedding({ embedder, meter });
  const flights = singleFlight<string, Float32Array>();

  /** Vectors whose text did not change are in the index already. */
  async function readBack(places: ReadonlyMap<string, Place>, run: WriteRun) {
    const vectors = new Map<string, Float32Array>();
    const namespaces = new Map<string, Map<string, string>>();
    for (const [embedKey, { namespace, id }] of places) {
      const ids = namespaces.get(namespace) ?? new Map<string, string>();
      namespaces.set(namespace, ids.set(id, embedKey));
    }
    for (const [namespace, ids] of namespaces)
      for (const pack of packs([...ids.keys()], { maxCount: store.limits.maxFetchIds })) {
        checkLease(run);
        for (const vector of await store.fetch(pack, storeRun(run, namespace))) {
          const embedKey = ids.get(vector.id) ?? "";
          const isAsNoted = vector.metadata["_h"] === places.get(embedKey)?.mark;
          if (isAsNoted && vector.values.length === embedder.dimensions)
            vectors.set(embedKey, vector.values);
        }
      }
    return vectors;
  }

  async function writeNow({ take, stored }: Keeping, { fence }: WriteRun): Promise<void> {
    const writes = take();
    if (writes.length > 0) await stored(await state.each(writes, fence), fence);
  }

  return async (plans, run) => {
    const vectors = new Map<string, Float32Array>();
    const refused = new Map<string, PoisonError>();
    const texts = new Map<string, string>();
    const places = new Map<string, Place>();
    for (const { held, diff } of plans) {
      if (diff.writes.length === 0) continue;
      const namespace = held.manifest?.namespace ?? "";
      const own = vectorsHeld(held);
      for (const { chunk } of diff.writes) {
        const { embedKey, given, embeddedText } = chunk;
        if (given !== undefined) vectors.set(embedKey, given);
        else texts.set(embedKey, embeddedText);
        const there = own.get(embedKey);
        if (there)
          places.set(embedKey, { ...there, namespace, id: vectorIdOf(held.docKey, there.id) });
      }
    }
    for (const embedKey of vectors.keys()) texts.delete(embedKey);
    if (texts.size === 0) return { vectors, refused, keeping: nothingToKeep };

    const { theirs, done } = flights.enter([...texts.keys()]);
    try {
      const lookup = await cache.lookUp([...texts.keys()]);
      if (lookup.found.size > 0) meter("vector_cache_hits", lookup.found.size);
      for (const [embedKey, vector] of lookup.found) vectors.set(embedKey, vector);

      const missing = [...places].filter(
        ([embedKey]) => texts.has(embedKey) && !vectors.has(embedKey),
      );
      // Not kept in the cache: nobody knows whether the index was left alone.
      for (const [embedKey, vector] of await readBack(new Map(missing), run))
        vectors.set(embedKey, vector);
      const fresh = new Map<string, Float32Array>();
      let isWhole = false;
      try {
        const unknown = [...texts].filter(([key]) => !vectors.has(key));
        const own = unknown.filter(([key]) => !theirs.has(key));
        await embedInto({ vectors: fresh, refused }, own, run);
        const rest = unknown.filter(([key]) => theirs.has(key));
        for (const [embedKey] of rest) {
          const vector = await theirs.get(embedKey);
          if (vector) vectors.set(embedKey, vector);
        }
        // Whoever was asking for them failed.
        const left = rest.filter(([key]) => !vectors.has(key));
        await embedInto({ vectors: fresh, refused }, left, run);
        isWhole = true;
      } finally {
        for (const [embedKey, vector] of fresh) vectors.set(embedKey, vector);
        // When a later request failed, nothing else will be written: what was paid for is not asked for again.
        if (!isWhole) await writeNow(lookup.keep(fresh), run);
      }
      return { vectors, refused, keeping: lookup.keep(fresh) };
    } finally {
      done(vectors);
    }
  };
}
