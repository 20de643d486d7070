import { defineEmbedder } from "sluice";
import { embedderConformance } from "sluice/testing";
import { afterAll, describe, it } from "vitest";
import { describeEmbedding, embeddingConfig, openEmbedder } from "./embedding.ts";
import { startService } from "./service.test.data.ts";

/** The `embedding` option as an embedder of its own. */
const embedder = defineEmbedder({
  name: "embedding",
  version: "1.0.0",
  summary: "Whatever the option says.",
  config: embeddingConfig,
  describe: (context) => describeEmbedding(context.config, context),
  open: (context) => openEmbedder(context.config, context),
});

/** Counts letters: equal texts are alike, others are not. */
function vectorOf(text: string, dimensions: number): number[] {
  const counts = Array<number>(dimensions).fill(0.01);
  for (const letter of text) {
    const at = (letter.codePointAt(0) ?? 0) % dimensions;
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

const openAi = await startService(({ body: { input = [] } }) => ({
  body: { data: input.map((text, index) => ({ index, embedding: vectorOf(text, 64) })) },
}));
const pinecone = await startService(({ body: { inputs = [] } }) => ({
  body: { data: inputs.map(({ text }) => ({ values: vectorOf(text, 1_024) })) },
}));
afterAll(() => Promise.all([openAi.close(), pinecone.close()]));

describe.each<[string, Record<string, unknown>]>([
  ["hash", { provider: "hash", dimensions: 64 }],
  ["local", { provider: "local" }],
  [
    "openai",
    {
      provider: "openai",
      model: "mini",
      dimensions: 64,
      url: `${openAi.url}/v1`,
      apiKey: "key-of-openai",
    },
  ],
  ["pinecone", { provider: "pinecone", apiKey: "key-of-pinecone", url: pinecone.url }],
])("the embedder %s keeps what vector sync relies on:", (_, config) => {
  for (const { name, run } of embedderConformance({ embedder, config })) it(name, run, 120_000); // the local model reads 16 long texts
});
