import type { z } from "zod";
import { stamp, type Defined } from "./connector-api.ts";
import type { Config, Context, Definition } from "./connector.ts";
import type { Embedder, VectorStore } from "./vectors.ts";

/** What must be known of a model to cut texts for it. */
export type EmbedderDescription = Pick<
  Embedder,
  "fingerprint" | "dimensions" | "maxTokens" | "countTokens" | "pricePerMillionTokens"
>;

/** What `defineEmbedder` takes. */
export interface EmbedderDefinition<C extends Config> extends Definition<C> {
  /** Describes the model without loading it. Absent: it is opened for that. */
  readonly describe?: (context: Context<z.output<C>>) => Promise<EmbedderDescription>;
  /** Loads or connects. Throws `RetryableError` where it cannot be reached, `ConfigError` where it can never fit. */
  readonly open: (context: Context<z.output<C>>) => Promise<Embedder>;
}

/** What `defineVectorStore` takes. */
export interface VectorStoreDefinition<C extends Config> extends Definition<C> {
  /**
   * Opens the index. `dimensions`: of the index, should it have to be created; without it, and with
   * `readOnly`, nothing is created. An index that is there stays what it is. Throws what a sink's `open` throws.
   */
  readonly open: (
    context: Context<z.output<C>> & { readonly dimensions?: number; readonly readOnly: boolean },
  ) => Promise<VectorStore>;
}

/** An embedder as whoever opens it holds it: config types erased, parsed with `config` first. */
export type EmbedderExtension = EmbedderDefinition<Config> & Defined<"embedder">;
/** A vector database as whoever opens it holds it: config types erased, parsed with `config` first. */
export type VectorStoreExtension = VectorStoreDefinition<Config> & Defined<"store">;
export type Extension = EmbedderExtension | VectorStoreExtension;

/** An embedder that configs name by package or path: `"embedding": { "use": "./voyage.js", "config": { … } }`. */
export function defineEmbedder<C extends Config>(
  definition: EmbedderDefinition<C>,
): EmbedderExtension {
  // Erasing the config's types is sound because it is parsed with `config` before any call.
  return { ...definition, ...stamp("embedder") } as unknown as EmbedderExtension;
}

/** A vector database that configs name by package or path: `"store": { "use": "./qdrant.js", "config": { … } }`. */
export function defineVectorStore<C extends Config>(
  definition: VectorStoreDefinition<C>,
): VectorStoreExtension {
  return { ...definition, ...stamp("store") } as unknown as VectorStoreExtension;
}
