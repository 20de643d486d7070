import { SluiceError, type Embedder, type Reader, type VectorStore } from "sluice";
import { checkModel, firstVector } from "./namespace.ts";

const modelTimeoutMs = 30_000;

/** Questions to a namespace. Owns `store` and `embedder`: `close` closes them. */
export function vectorReader(options: {
  readonly store: VectorStore;
  readonly embedder: Embedder;
  readonly namespace: string;
}): Reader {
  const { store, embedder, namespace } = options;
  let isModelChecked = false;

  /** A question embedded by another model finds noise. */
  async function check(signal: AbortSignal): Promise<void> {
    if (isModelChecked) return;
    const first = await firstVector(store, { namespace, signal });
    checkModel(first, embedder.fingerprint, namespace);
    isModelChecked = first !== undefined;
  }

  async function embed(text: string, signal: AbortSignal): Promise<Float32Array> {
    const [embedded] = await embedder.embed([text], { input: "query", signal });
    if (embedded) return embedded;
    throw new SluiceError("vectors: the embedder answered no vector for the question.", {
      code: "vectors.vector-missing",
      fix: "Check the embedding service: it must answer one vector a text.",
    });
  }

  return {
    async search({ text = "", vector, topK, filter }, { signal }) {
      if (vector === undefined && text.trim() === "")
        throw new SluiceError("vectors: the question is empty: neither a text nor a vector.", {
          code: "vectors.empty-question",
          fix: "Say what to look for.",
        });
      await check(signal);
      const embedded = vector ?? (await embed(text, signal));
      const query = { vector: embedded, topK, ...(filter && { filter }) };
      return store.query(query, { namespace, signal });
    },
    async model() {
      const signal = AbortSignal.timeout(modelTimeoutMs);
      return (await firstVector(store, { namespace, signal }))?.model;
    },
    async close() {
      await Promise.all([store.close(), embedder.close()]);
    },
  };
}
