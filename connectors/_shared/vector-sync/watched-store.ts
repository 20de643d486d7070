import { RetryableError, SluiceError, type Embedder, type VectorStore } from "sluice";
import { checkDimensions } from "./check-index.ts";

/** A batch that is refused is halved many times: the index is asked once for all of it. */
const believedMs = 1_000;

/**
 * The store, but where a call is refused for what it says, the index itself is looked at first: one of other dimensions than
 * it had when the sink opened refuses every vector, and that is no fault of the documents. Then a `ConfigError` is thrown.
 */
export function watchedStore(
  store: VectorStore,
  model: Pick<Embedder, "dimensions" | "fingerprint">,
): VectorStore {
  let checkedAt = -Infinity;

  async function refused(error: unknown, signal: AbortSignal): Promise<never> {
    const isAboutCall = error instanceof SluiceError && !(error instanceof RetryableError);
    if (isAboutCall && performance.now() - checkedAt > believedMs) {
      checkDimensions(await store.describe({ signal }), model, { isCreated: false });
      checkedAt = performance.now();
    }
    throw error;
  }

  const { target, limits, bytesOf, namespaces } = store;
  return {
    // Not spread: the store may be an instance of a class.
    ...(target !== undefined && { target }),
    limits,
    ...(bytesOf && { bytesOf: bytesOf.bind(store) }),
    describe: (run) => store.describe(run),
    upsert: (vectors, run) =>
      store.upsert(vectors, run).catch((error: unknown) => refused(error, run.signal)),
    remove: (ids, run) => store.remove(ids, run),
    fetch: (ids, run) => store.fetch(ids, run),
    list: (prefix, run) => store.list(prefix, run),
    ...(namespaces && { namespaces: namespaces.bind(store) }),
    query: (query, run) =>
      store.query(query, run).catch((error: unknown) => refused(error, run.signal)),
    close: () => store.close(),
  };
}
