import { ConfigError, type Embedder, type VectorStore } from "sluice";
import { checkModel, firstModel } from "./first-vector.ts";

/**
 * Judges, at start, whether an index can hold the model's vectors: dimensions, metric and, where the
 * namespace is always the same, the model it was filled with. Throws `ConfigError`.
 */
export async function checkIndex(
  store: VectorStore,
  wanted: {
    readonly model: Pick<Embedder, "dimensions" | "fingerprint">;
    readonly metric: "cosine" | "dotproduct" | "euclidean" | undefined;
    readonly namespace: string | undefined;
    /** Whether another name would make another index. */
    readonly isCreated: boolean;
  },
  { signal }: { readonly signal: AbortSignal },
): Promise<{ readonly dimensions: number; readonly metric: string }> {
  const { model, metric, namespace, isCreated } = wanted;
  const index = await store.describe({ signal });
  checkDimensions(index, model, { isCreated });
  if (metric !== undefined && index.metric !== metric)
    throw new ConfigError(`vectors: the index measures by ${index.metric}, not by ${metric}.`, {
      code: "vectors.metric-mismatch",
      fix: `Use another index, or leave the metric out: an index keeps the one it was made with.`,
    });
  if (namespace !== undefined)
    checkModel(await firstModel(store, { namespace, signal }), model.fingerprint, namespace);
  return index;
}

/** Throws `ConfigError` where an index cannot hold a model's vectors. */
export function checkDimensions(
  index: { readonly dimensions: number },
  model: Pick<Embedder, "dimensions" | "fingerprint">,
  { isCreated }: { readonly isCreated: boolean },
): void {
  if (index.dimensions === model.dimensions) return;
  throw new ConfigError(
    `vectors: the index holds ${index.dimensions} dimensions, the embedding model ${model.fingerprint} makes ${model.dimensions}.`,
    {
      code: "vectors.dimensions-mismatch",
      fix: isCreated
        ? 'Name another "index", which will be created, or use the model this one was made for.'
        : `Use an index of ${model.dimensions} dimensions, or the model this one was made for.`,
    },
  );
}
