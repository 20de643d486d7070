import { ConfigError, type StoreRun, type VectorStore } from "sluice";
import { modelMarkOf } from "./content-hash.ts";

/** The `_m` of the first vector of the namespace that has one, `null` where it has none; `undefined` when it is empty. */
export async function firstModel(
  store: VectorStore,
  run: StoreRun,
): Promise<string | null | undefined> {
  for await (const [id] of store.list("", run)) {
    if (id === undefined) continue;
    const [vector] = await store.fetch([id], run);
    const model = vector?.metadata["_m"];
    return typeof model === "string" ? model : null;
  }
  return undefined;
}

/** Throws `ConfigError` when the namespace holds vectors of another model: distances between models mean nothing. */
export function checkModel(
  model: string | null | undefined,
  fingerprint: string,
  namespace: string,
): void {
  if (typeof model !== "string" || model === modelMarkOf(fingerprint)) return;
  throw new ConfigError(
    `vectors: the namespace "${namespace}" holds vectors of another embedding model than ${fingerprint}.`,
    {
      code: "vectors.model-mismatch",
      fix: "Use the model it was filled with, or another namespace.",
    },
  );
}
