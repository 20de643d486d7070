import {
  ConfigError,
  defineSink,
  RetryableError,
  SluiceError,
  type Context,
  type Embedder,
  type Finding,
  type Log,
  type VectorStore,
} from "sluice";
import { describeEmbedding, openEmbedder } from "../../_shared/embedders/embedding.ts";
import { vectorReader } from "../../_shared/vector-sync/reader.ts";
import { vectorWriter } from "../../_shared/vector-sync/writer.ts";
import { creationOf, pineconeConfig, type PineconeConfig } from "./config.ts";
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
  check,
  async open(context) {
    const { config, state, log, meter, signal } = context;
    const { namespace } = config;
    tell(config, log);
    const { store, embedder } = await openBoth(context, { readOnly: false });
    return vectorWriter({
      store,
      embedder,
      state,
      namespace,
      log,
      meter,
      signal,
    });
  },
  async openReader(context) {
    const { store, embedder } = await openBoth(context, { readOnly: true });
    return vectorReader({ store, embedder, namespace: context.config.namespace });
  },
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

async function openBoth(
  context: PineconeContext,
  { readOnly }: { readonly readOnly: boolean },
): Promise<{ readonly store: VectorStore; readonly embedder: Embedder }> {
  const { config, signal, log, meter } = context;
  const embedder = await openEmbedder(config.embedding, { signal, log });
  try {
    const { dimensions } = embedder;
    const store = await openPineconeStore({ config, signal, log, meter, dimensions, readOnly });
    try {
      const mismatch = mismatchOf(config, await store.describe({ signal }), embedder);
      if (mismatch !== undefined) throw mismatch;
      return { store, embedder };
    } catch (error) {
      await store.close();
      throw error;
    }
  } catch (error) {
    await embedder.close();
    throw error;
  }
}

/** Changes nothing: a missing index that may be created is reported as such. */
async function check(context: PineconeContext): Promise<readonly Finding[]> {
  const { config, signal, log, meter } = context;
  const model = await describeEmbedding(config.embedding);
  try {
    const store = await openPineconeStore({ config, signal, log, meter, readOnly: true });
    try {
      const index = await store.describe({ signal });
      const mismatch = mismatchOf(config, index, model);
      if (mismatch !== undefined) throw mismatch;
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

function mismatchOf(
  { index: name, create, local }: PineconeConfig,
  index: { readonly dimensions: number },
  model: Pick<Embedder, "dimensions" | "fingerprint">,
): ConfigError | undefined {
  if (index.dimensions === model.dimensions) return undefined;
  const canCreate = create !== undefined || local !== undefined;
  return new ConfigError(
    `pinecone: the index ${name} has ${index.dimensions} dimensions, the model ${model.fingerprint} makes ${model.dimensions}.`,
    {
      code: "pinecone.dimension-mismatch",
      fix: canCreate
        ? 'Name another "index", which will be created, or use the model this one was made for.'
        : `Use an index of ${model.dimensions} dimensions, or the model this one was made for.`,
    },
  );
}
