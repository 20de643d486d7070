import { z, type Embedder, type Log } from "sluice";
import { describeHash, openHash } from "./hash.ts";
import { describeMiniLm, openMiniLm } from "./minilm.ts";

/** The `embedding` option of everything that turns text into vectors, or measures text for that. */
export const embeddingConfig = z
  .discriminatedUnion("provider", [
    z
      .strictObject({ provider: z.literal("local") })
      .describe("all-MiniLM-L6-v2 in this process: 384 dimensions, no server, no download."),
    z
      .strictObject({
        provider: z.literal("hash"),
        dimensions: z
          .number()
          .int()
          .min(8)
          .max(4_096)
          .default(384)
          .describe("Length of each vector."),
      })
      .describe("Hashed words: fast and deterministic, without meaning. For tests and benchmarks."),
  ])
  .default({ provider: "local" })
  .describe("The model that turns texts into vectors.");

export type EmbeddingConfig = z.output<typeof embeddingConfig>;

/** What a chunker must know of a model. */
export type EmbeddingDescription = Pick<
  Embedder,
  "fingerprint" | "dimensions" | "maxTokens" | "countTokens"
>;

/** Describes the model without loading it: at most its tokenizer is read. */
export async function describeEmbedding(config: EmbeddingConfig): Promise<EmbeddingDescription> {
  switch (config.provider) {
    case "local":
      return describeMiniLm();
    case "hash":
      return describeHash(config.dimensions);
  }
}

/** Opens an embedder. The model itself is loaded at its first use; `close` ends what was started. */
export async function openEmbedder(
  config: EmbeddingConfig,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Log },
): Promise<Embedder> {
  signal.throwIfAborted();
  switch (config.provider) {
    case "local":
      return openMiniLm(log);
    case "hash":
      return openHash(config.dimensions);
  }
}
