import {
  defineSink,
  loadVectorStore,
  RetryableError,
  SluiceError,
  type Context,
  type Finding,
  type VectorStore,
} from "sluice";
import { describeEmbedding, openEmbedder } from "../../_shared/embedders/embedding.ts";
import { openAudit } from "../../_shared/vector-sync/audit/auditor.ts";
import { checkIndex } from "../../_shared/vector-sync/check-index.ts";
import { estimator } from "../../_shared/vector-sync/estimate.ts";
import { parseNamespace } from "../../_shared/vector-sync/namespace-template.ts";
import { toWriterOptions } from "../../_shared/vector-sync/options.ts";
import { vectorReader } from "../../_shared/vector-sync/reader.ts";
import { vectorWriter } from "../../_shared/vector-sync/writer.ts";
import { vectorsConfig, type VectorsConfig } from "./config.ts";

type VectorsContext = Context<VectorsConfig>;

/** Keeps a vector database equal to the documents of its topic, whatever database it is: the sync of the Pinecone sink over a store of one's own. */
export const vectors = defineSink({
  name: "vectors",
  version: "1.0.0",
  summary: "Keeps a vector database of your own choice equal to the documents of a topic.",
  config: vectorsConfig,
  accepts: ["dev.sluice.document."],
  inherit: ["embedding"],
  locates: ["store"],
  check,
  async open(context) {
    const { state, log, meter, signal } = context;
    const both = await openBoth(context, { readOnly: false });
    const target = both.store.target ?? context.config.store.use;
    const options = toWriterOptions(context.config);
    return vectorWriter({ ...both, ...options, state, target, log, meter, signal });
  },
  async openReader(context) {
    return vectorReader(await openBoth(context, { readOnly: true }));
  },
  async openAuditor(context) {
    const { state, log, meter, signal } = context;
    const namespace = await parseNamespace(context.config.namespace);
    const embedder = await describeEmbedding(context.config.embedding, context);
    const store = await openStore(context, { readOnly: false });
    const rules = context.config.metadata;
    return await openAudit({
      store,
      state,
      embedder,
      openEmbedder: () => openEmbedder(context.config.embedding, context),
      namespace,
      rules,
      log,
      meter,
      signal,
    });
  },
  openEstimator: async (context) =>
    estimator(await describeEmbedding(context.config.embedding, context)),
});

async function openStore(
  context: VectorsContext,
  how: { readonly readOnly: boolean; readonly dimensions?: number },
): Promise<VectorStore> {
  const { use, config: own } = context.config.store;
  return await (await loadVectorStore(use)).open({ ...context, config: own, ...how });
}

async function openBoth(context: VectorsContext, { readOnly }: { readonly readOnly: boolean }) {
  const namespace = await parseNamespace(context.config.namespace);
  const embedder = await openEmbedder(context.config.embedding, context);
  try {
    const { dimensions } = embedder;
    const store = await openStore(context, { readOnly, ...(!readOnly && { dimensions }) });
    try {
      const wanted = { model: embedder, metric: undefined, namespace: namespace.fixed };
      await checkIndex(store, { ...wanted, isCreated: false }, context);
      return { store, embedder, namespace };
    } catch (error) {
      await store.close();
      throw error;
    }
  } catch (error) {
    await embedder.close();
    throw error;
  }
}

async function check(context: VectorsContext): Promise<readonly Finding[]> {
  try {
    const model = await describeEmbedding(context.config.embedding, context);
    const { fixed: namespace } = await parseNamespace(context.config.namespace);
    const store = await openStore(context, { readOnly: true });
    try {
      const wanted = { model, metric: undefined, namespace, isCreated: false };
      const { dimensions, metric } = await checkIndex(store, wanted, context);
      const message = `vectors: the index answers: ${dimensions} dimensions, ${metric}.`;
      return [{ severity: "ok", code: "vectors.ready", message }];
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const { code, message, fix } = error;
    const passes = error instanceof RetryableError && error.reason === "throttled";
    return [
      { severity: passes ? "warning" : "error", code, message, ...(fix !== undefined && { fix }) },
    ];
  }
}
