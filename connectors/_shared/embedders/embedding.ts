import { loadEmbedder, z, type Context, type Embedder, type EmbedderDescription } from "sluice";
import { describeHash, openHash } from "./hash.ts";
import { describeMiniLm, openMiniLm } from "./minilm.ts";
import { describeOpenAi, openAiConfig, openOpenAi } from "./openai.ts";
import { describePinecone, openPinecone, pineconeEmbeddingConfig } from "./pinecone.ts";

const local = z
  .strictObject({ provider: z.literal("local") })
  .describe("all-MiniLM-L6-v2 in this process: 384 dimensions, no server, no download.");

const hash = z
  .strictObject({
    provider: z.literal("hash"),
    dimensions: z.number().int().min(8).max(4_096).default(384).describe("Length of each vector."),
  })
  .describe("Hashed words: fast and deterministic, without meaning. For tests and benchmarks.");

const extension = z
  .strictObject({
    use: z
      .string()
      .min(1)
      .describe("A package, or the path of a module, made with defineEmbedder."),
    config: z.record(z.string(), z.unknown()).default({}).describe("Its own options."),
  })
  .meta({ embedder: true })
  .describe("An embedder of your own.");

/** The `embedding` option of everything that turns text into vectors, or measures text for that. */
export const embeddingConfig = z
  // The extension first: of what fits neither, the other says what is wrong.
  .union([
    extension,
    z.discriminatedUnion("provider", [local, hash, openAiConfig, pineconeEmbeddingConfig]),
  ])
  .default({ provider: "local" })
  .describe("The model that turns texts into vectors.");

export type EmbeddingConfig = z.output<typeof embeddingConfig>;

/** Describes the model without loading it: at most its tokenizer is read. */
export async function describeEmbedding(
  config: EmbeddingConfig,
  context: Context<unknown>,
): Promise<EmbedderDescription> {
  if ("use" in config) return await describeExtension(config, context);
  switch (config.provider) {
    case "local":
      return await describeMiniLm();
    case "hash":
      return describeHash(config.dimensions);
    case "openai":
      return await describeOpenAi(config);
    case "pinecone":
      return await describePinecone(config);
  }
}

/** Opens an embedder. The model itself is loaded at its first use; `close` ends what was started. */
export async function openEmbedder(
  config: EmbeddingConfig,
  context: Context<unknown>,
): Promise<Embedder> {
  context.signal.throwIfAborted();
  if ("use" in config)
    return await (await loadEmbedder(config.use)).open({ ...context, config: config.config });
  switch (config.provider) {
    case "local":
      return await openMiniLm(context.log);
    case "hash":
      return openHash(config.dimensions);
    case "openai":
      return await openOpenAi(config, context);
    case "pinecone":
      return await openPinecone(config, context);
  }
}

async function describeExtension(
  { use, config }: z.output<typeof extension>,
  context: Context<unknown>,
): Promise<EmbedderDescription> {
  const { describe, open } = await loadEmbedder(use);
  if (describe) return await describe({ ...context, config });
  const embedder = await open({ ...context, config });
  await embedder.close();
  return embedder;
}
