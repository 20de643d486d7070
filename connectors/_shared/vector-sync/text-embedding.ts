import type { Context, Embedder, PoisonError } from "sluice";
import { bisect } from "./bisect.ts";
import { packs } from "./packs.ts";

/** Texts by their embedKey. */
export type Keyed = readonly (readonly [embedKey: string, text: string])[];

/**
 * Embeds passages within the embedder's caps. Vectors and texts that it will never take are put where they are
 * wanted as they come, so that what was paid for is there when a later request fails.
 */
export function textEmbedding({
  embedder,
  meter,
}: {
  readonly embedder: Embedder;
  readonly meter: Context<unknown>["meter"];
}): (
  into: {
    readonly vectors: Map<string, Float32Array>;
    readonly refused: Map<string, PoisonError>;
  },
  texts: Keyed,
  run: { readonly signal: AbortSignal },
) => Promise<void> {
  const { maxTexts, maxTokensPerRequest } = embedder;
  return async ({ vectors, refused }, texts, { signal }) => {
    for (const pack of packs(texts, {
      maxCount: maxTexts,
      maxSize: maxTokensPerRequest,
      // Counting costs time: only where it can matter.
      sizeOf: ([, text]) => (maxTokensPerRequest < Infinity ? embedder.countTokens(text) : 0),
    }))
      await bisect(
        pack,
        async (some) => {
          meter("embed_calls", 1); // a failed one too
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
  };
}
