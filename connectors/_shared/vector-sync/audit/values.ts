import type { Embedder } from "sluice";
import { bisect } from "../bisect.ts";
import { packs } from "../packs.ts";
import type { VectorCache } from "../vector-cache.ts";

/** What a text's vector should be: from the cache, else, where that is wanted, from the model. */
export interface RightValues {
  readonly cached: (embedKeys: readonly string[]) => Promise<ReadonlyMap<string, Float32Array>>;
  readonly embedded: (
    texts: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ) => Promise<{ readonly vectors: ReadonlyMap<string, Float32Array>; readonly cost: Cost }>;
}

interface Cost {
  readonly texts: number;
  readonly tokens: number;
  readonly dollars?: number;
}

export function rightValues(options: {
  readonly cache: VectorCache;
  /** Opened when the first text is to be embedded. */
  readonly openEmbedder: () => Promise<Embedder>;
}): RightValues {
  const { cache, openEmbedder } = options;
  return {
    cached: async (embedKeys) => (await cache.lookUp(embedKeys)).found,
    async embedded(texts, signal) {
      const vectors = new Map<string, Float32Array>();
      if (texts.size === 0) return { vectors, cost: { texts: 0, tokens: 0 } };
      const embedder = await openEmbedder();
      let tokens = 0;
      try {
        const counted = [...texts].map(([embedKey, text]) => {
          const count = embedder.countTokens(text);
          tokens += count;
          return { embedKey, text, count };
        });
        for (const pack of packs(counted, {
          maxCount: embedder.maxTexts,
          maxSize: embedder.maxTokensPerRequest,
          sizeOf: ({ count }) => count,
        }))
          await bisect(
            pack,
            async (some) => {
              const plain = some.map(({ text }) => text);
              const made = await embedder.embed(plain, { input: "passage", signal });
              for (const [at, vector] of made.entries()) {
                const { embedKey } = some[at] ?? {};
                if (embedKey !== undefined) vectors.set(embedKey, vector);
              }
            },
            () => {}, // refused now, whatever was made of it then: it counts as not compared
          );
        const { pricePerMillionTokens: price } = embedder;
        const dollars = price === undefined ? {} : { dollars: (tokens / 1e6) * price };
        return { vectors, cost: { texts: counted.length, tokens, ...dollars } };
      } finally {
        await embedder.close();
      }
    },
  };
}
