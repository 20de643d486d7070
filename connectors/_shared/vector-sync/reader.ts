import { setTimeout as sleep } from "node:timers/promises";
import { RetryableError, SluiceError, type Embedder, type Reader, type VectorStore } from "sluice";
import { checkModel, firstModel } from "./first-vector.ts";
import type { NamespaceTemplate } from "./namespace-template.ts";

const modelTimeoutMs = 30_000;
const pollMs = 100;
const visibleWithinMs = 20_000;

/** Questions to an index. Owns `store` and `embedder`: `close` closes them. */
export function vectorReader(options: {
  readonly store: VectorStore;
  readonly embedder: Embedder;
  readonly namespace: NamespaceTemplate;
}): Reader {
  const { store, embedder } = options;
  const checked = new Set<string>();

  /** A question embedded by another model finds noise. */
  async function check(namespace: string, signal: AbortSignal): Promise<void> {
    if (checked.has(namespace)) return;
    const model = await firstModel(store, { namespace, signal });
    checkModel(model, embedder.fingerprint, namespace);
    if (model !== undefined) checked.add(namespace);
  }

  async function embed(text: string, signal: AbortSignal): Promise<Float32Array> {
    const [embedded] = await embedder.embed([text], { input: "query", signal });
    if (embedded) return embedded;
    throw new SluiceError("vectors: the embedder answered no vector for the question.", {
      code: "vectors.vector-missing",
      fix: "Check the embedding service: it must answer one vector a text.",
    });
  }

  async function* namespaces(signal: AbortSignal): AsyncGenerator<string, void> {
    const { fixed } = options.namespace;
    if (fixed !== undefined) return yield fixed;
    for await (const page of store.namespaces?.({ signal }) ?? []) yield* page;
  }

  return {
    async search({ text = "", vector, topK, filter, minLsn, maxWaitMs, ...where }, { signal }) {
      const namespace = where.namespace ?? options.namespace.fixed;
      if (namespace === undefined)
        throw new SluiceError(
          "vectors: the documents lie in several namespaces, and none was named.",
          {
            code: "vectors.no-namespace",
            fix: "Name the namespace to search.",
          },
        );
      if (vector === undefined && text.trim() === "")
        throw new SluiceError("vectors: the question is empty: neither a text nor a vector.", {
          code: "vectors.empty-question",
          fix: "Say what to look for.",
        });
      await check(namespace, signal);
      const embedded = vector ?? (await embed(text, signal));
      const query = { vector: embedded, topK, ...(filter && { filter }) };
      const until = performance.now() + (maxWaitMs ?? visibleWithinMs);
      for (;;) {
        const answer = await store.query(query, { namespace, signal });
        if (minLsn === undefined || answer.lsn === undefined || answer.lsn >= minLsn) return answer;
        if (performance.now() > until) throw notYet(minLsn, answer.lsn);
        await sleep(pollMs, undefined, { signal });
      }
    },
    async model() {
      const signal = AbortSignal.timeout(modelTimeoutMs);
      for await (const namespace of namespaces(signal)) {
        const model = await firstModel(store, { namespace, signal });
        if (typeof model === "string") return model;
      }
      return undefined;
    },
    async close() {
      await Promise.all([store.close(), embedder.close()]);
    },
  };
}

function notYet(wanted: bigint, seen: bigint): RetryableError {
  return new RetryableError(
    `vectors: the index has seen its log up to ${seen}, not yet up to ${wanted}.`,
    {
      code: "vectors.not-visible",
      reason: "unreachable",
      fix: "Ask again: the index is behind with its own work.",
    },
  );
}
