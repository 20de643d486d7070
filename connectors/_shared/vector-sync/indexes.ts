import { z, type Context, type Reader } from "sluice";
import { pineconeConfig } from "../../sinks/pinecone/config.ts";
import { vectorsConfig } from "../../sinks/vectors/config.ts";
import type { EmbeddingConfig } from "../embedders/embedding.ts";

/** An index that is only read: named and configured as the sink that keeps it. */
export const indexConfig = z.discriminatedUnion("store", [
  z.strictObject({
    store: z.literal("pinecone").describe("The sink that keeps the index."),
    config: pineconeConfig.describe("That sink's config."),
  }),
  z.strictObject({
    store: z.literal("vectors").describe("The sink that keeps the index."),
    config: vectorsConfig.describe("That sink's config."),
  }),
]);

export type IndexConfig = z.output<typeof indexConfig>;

/** Opens the reading side of an index as its sink would. `close` ends all that was opened for it. */
export async function openIndex(
  index: IndexConfig,
  embedding: EmbeddingConfig,
  context: Context<unknown>,
): Promise<Reader> {
  const given = { ...context, config: { ...index.config, embedding } };
  const sink = await sinkOf(index.store);
  if (!sink.openReader) throw new TypeError(`${index.store} has no reader`); // both have one
  return await sink.openReader(given);
}

/** Loaded when one is named, and not before. */
async function sinkOf(store: IndexConfig["store"]) {
  switch (store) {
    case "pinecone":
      return (await import("../../sinks/pinecone/pinecone.ts")).pinecone;
    case "vectors":
      return (await import("../../sinks/vectors/vectors.ts")).vectors;
  }
}
