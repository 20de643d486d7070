import { defineTransform, z, type Segment } from "sluice";
import { describeEmbedding, embeddingConfig } from "../../_shared/embedders/embedding.ts";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import { roomOf } from "../../_shared/text/room.ts";
import { sectionsIn } from "../../_shared/text/sections.ts";
import { segmentsOf } from "./segments.ts";

const config = z.strictObject({
  maxTokens: z
    .number()
    .int()
    .min(16)
    .optional()
    .describe(
      "Most tokens of a stretch: what `chunk` has. Default: 200, or what the model leaves.",
    ),
  embedding: embeddingConfig.describe("The model whose tokens are counted; inline, the sink's."),
});

/** Counts a document's tokens stretch by stretch, so that `chunk` need not: it cuts the same chunks with and without. */
export const tokenize = defineTransform({
  name: "tokenize",
  version: "1.0.0",
  summary: "Counts the tokens of documents for `chunk`, with the embedding model's own tokenizer.",
  config,
  accepts: ["dev.sluice.document."],
  emits: ["dev.sluice.document."],
  annotates: true,
  async open(opening) {
    const { maxTokens, embedding } = opening.config;
    const [{ fromMarkdown }, model] = await Promise.all([
      import("mdast-util-from-markdown"),
      describeEmbedding(embedding, opening),
    ]);
    const room = roomOf(maxTokens, model, {
      transform: "tokenize",
      code: "tokenize.max-tokens",
    });
    return {
      apply: (events, run) =>
        applyEach("tokenize", events, run, async (event, breathe) => {
          if (event.type !== "dev.sluice.document.upserted") throw unexpected("tokenize", event);
          const { data } = event;
          const segments: Segment[] = [];
          for await (const section of sectionsIn(data, { fromMarkdown, asPath: true, breathe }))
            for await (const segment of segmentsOf(data.text, section, { room, model, breathe }))
              segments.push(segment);
          return { ...event, data: { ...data, segments, model: model.fingerprint } };
        }),
    };
  },
});
