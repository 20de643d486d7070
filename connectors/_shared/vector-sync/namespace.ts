import {
  ConfigError,
  type Context,
  type Embedder,
  type StateStore,
  type StoreRun,
  type VectorStore,
  type WriteRun,
} from "sluice";
import { modelMarkOf } from "./content-hash.ts";
import { doubtManifests } from "./doubt.ts";
import { checkLease } from "./lease-end.ts";

/** The first vector id of the namespace and the `_m` it carries; `undefined` when there is none. */
export async function firstVector(
  store: VectorStore,
  run: StoreRun,
): Promise<{ readonly model: string | undefined } | undefined> {
  for await (const [id] of store.list("", run)) {
    if (id === undefined) continue;
    const [vector] = await store.fetch([id], run);
    const model = vector?.metadata["_m"];
    return { model: typeof model === "string" ? model : undefined };
  }
  return undefined;
}

/** Throws `ConfigError` when the namespace holds vectors of another model: distances between models mean nothing. */
export function checkModel(
  first: { readonly model: string | undefined } | undefined,
  fingerprint: string,
  namespace: string,
): void {
  if (first?.model === undefined || first.model === modelMarkOf(fingerprint)) return;
  throw new ConfigError(
    `vectors: the namespace "${namespace}" holds vectors of another embedding model than ${fingerprint}.`,
    {
      code: "vectors.model-mismatch",
      fix: "Use the model it was filled with, or another namespace.",
    },
  );
}

/**
 * Judges a namespace before the first write to it. Resolves to true when every vector of ours in it
 * has a manifest, which is so when it was empty at our very first write: then an unknown document has
 * no vectors. Otherwise (state was lost, or an index we did not begin) its ids must be listed once.
 */
export function namespaceCheck(options: {
  readonly store: VectorStore;
  readonly embedder: Embedder;
  readonly state: StateStore;
  readonly namespace: string;
  readonly log: Context<unknown>["log"];
}): (run: WriteRun) => Promise<boolean> {
  const { store, embedder, state, namespace, log } = options;
  const key = `n/${namespace}`;

  async function check(run: WriteRun): Promise<boolean> {
    const { signal, fence } = run;
    checkLease(run);
    const { dimensions } = await store.describe({ signal });
    if (dimensions !== embedder.dimensions)
      throw new ConfigError(
        `vectors: the index holds ${dimensions} dimensions, the embedding model ${embedder.fingerprint} makes ${embedder.dimensions}.`,
        {
          code: "vectors.dimensions-mismatch",
          fix: "Use another index, or the model it was created for.",
        },
      );
    const first = await firstVector(store, { namespace, signal });
    checkModel(first, embedder.fingerprint, namespace);
    // After the listing: another worker notes it before it writes its first vector.
    const [known] = await state.get([key]);
    if (first !== undefined) return known !== undefined;
    const doubted = await doubtManifests(state, namespace, fence);
    if (doubted > 0)
      log.warn(
        { namespace, documents: doubted },
        "the index was emptied behind our back: documents are written again as they arrive, a snapshot brings all",
      );
    if (known === undefined)
      await state.each([{ key, value: { complete: true }, expect: 0 }], fence);
    return true;
  }

  let checked: Promise<boolean> | undefined;
  return async (run) => {
    const current = (checked ??= check(run));
    try {
      return await current;
    } catch (error) {
      if (checked === current) checked = undefined;
      throw error;
    }
  };
}
