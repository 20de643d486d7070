import {
  defineSink,
  RetryableError,
  SluiceError,
  type Context,
  type Embedder,
  type Finding,
  type Log,
} from "sluice";
import { describeEmbedding, openEmbedder } from "../../_shared/embedders/embedding.ts";
import { openAudit } from "../../_shared/vector-sync/audit/auditor.ts";
import { checkIndex } from "../../_shared/vector-sync/check-index.ts";
import { estimator } from "../../_shared/vector-sync/estimate.ts";
import { parseNamespace } from "../../_shared/vector-sync/namespace-template.ts";
import { toWriterOptions } from "../../_shared/vector-sync/options.ts";
import { vectorReader } from "../../_shared/vector-sync/reader.ts";
import { vectorWriter } from "../../_shared/vector-sync/writer.ts";
import { creationOf, metricOf, pineconeConfig, type PineconeConfig } from "./config.ts";
import { openPineconeStore } from "./store.ts";

type PineconeContext = Context<PineconeConfig>;

/** Keeps a namespace of a Pinecone index equal to the documents of its topic, and answers searches in it. */
export const pinecone = defineSink({
  name: "pinecone",
  version: "1.0.0",
  summary: "Keeps a Pinecone index, hosted or local, equal to the documents of a topic.",
  config: pineconeConfig,
  accepts: ["dev.sluice.document."],
  inherit: ["embedding"],
  locates: ["index", "url", "local", "apiKey"],
  check,
  async open(context) {
    const { config, state, log, meter, signal } = context;
    tell(config, log);
    const both = await openBoth(context, { readOnly: false });
    const target = config.index;
    return vectorWriter({ ...both, ...toWriterOptions(config), state, target, log, meter, signal });
  },
  async openReader(context) {
    return vectorReader(await openBoth(context, { readOnly: true }));
  },
  async openAuditor(context) {
    const { config, state, log, meter, signal } = context;
    const namespace = await parseNamespace(config.namespace);
    const embedder = await describeEmbedding(config.embedding, context);
    // First so that nothing is made where nothing is; then to erase, should that be asked.
    await (await openPineconeStore({ config, signal, log, meter, readOnly: true })).close();
    const store = await openPineconeStore({ config, signal, log, meter });
    const rules = config.metadata;
    return await openAudit({
      store,
      state,
      embedder,
      openEmbedder: () => openEmbedder(config.embedding, context),
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

// The runner opens again after each failure, with the same log: once is enough.
const told = new WeakSet<Log>();

/** Where this goes, before anything can hang. */
function tell({ index, namespace, local, url }: PineconeConfig, log: Log): void {
  if (told.has(log)) return;
  told.add(log);
  const to = local === undefined ? { url: url ?? "https://api.pinecone.io" } : { local };
  log.info({ index, namespace, ...to }, "connecting");
}

async function openBoth(context: PineconeContext, { readOnly }: { readonly readOnly: boolean }) {
  const { config, signal, log, meter } = context;
  const namespace = await parseNamespace(config.namespace);
  const embedder = await openEmbedder(config.embedding, context);
  try {
    const { dimensions } = embedder;
    const store = await openPineconeStore({ config, signal, log, meter, dimensions, readOnly });
    try {
      await checkIndex(store, wantedOf(config, embedder, namespace.fixed), { signal });
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

function wantedOf(
  config: PineconeConfig,
  model: Pick<Embedder, "dimensions" | "fingerprint">,
  namespace: string | undefined,
) {
  const isCreated = creationOf(config) !== undefined;
  return { model, metric: metricOf(config), namespace, isCreated };
}

/** Changes nothing: a missing index that may be created is reported as such. */
async function check(context: PineconeContext): Promise<readonly Finding[]> {
  const { config, signal, log, meter } = context;
  const model = await describeEmbedding(config.embedding, context);
  try {
    const store = await openPineconeStore({ config, signal, log, meter, readOnly: true });
    try {
      const { fixed } = await parseNamespace(config.namespace);
      const index = await checkIndex(store, wantedOf(config, model, fixed), { signal });
      const message = `pinecone: the index ${config.index} answers: ${index.dimensions} dimensions, ${index.metric}.`;
      return [{ severity: "ok", code: "pinecone.ready", message }];
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const isMissing = ["pinecone.index-missing", "pinecone.local-missing"].includes(error.code);
    if (isMissing && creationOf(config) !== undefined) {
      const message = `pinecone: the index ${config.index} will be created with ${model.dimensions} dimensions.`;
      return [{ severity: "ok", code: "pinecone.to-be-created", message }];
    }
    const { code, message, fix } = error;
    const passes = error instanceof RetryableError && error.reason === "throttled";
    return [
      { severity: passes ? "warning" : "error", code, message, ...(fix !== undefined && { fix }) },
    ];
  }
}
