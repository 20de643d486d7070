import { defineTransform, PoisonError, z, type DocumentUpserted } from "sluice";
import { describeEmbedding, embeddingConfig } from "../../_shared/embedders/embedding.ts";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import type { FromMarkdown } from "../../_shared/text/blocks.ts";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { roomOf } from "../../_shared/text/room.ts";
import { sectionsIn } from "../../_shared/text/sections.ts";
import { identified, piecesOf, type Budget, type Piece } from "./chunks.ts";

const config = z.strictObject({
  maxTokens: z
    .number()
    .int()
    .min(16)
    .optional()
    .describe("Most tokens of a chunk's text. Default: 200, or what the model leaves for text."),
  maxChunks: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .default(20_000)
    .describe("Most chunks of one document; a longer one is a dead letter."),
  context: z
    .boolean()
    .default(true)
    .describe("Embed the headings above a chunk (`Guide › Install`) together with its text."),
  embedding: embeddingConfig.describe("The model whose tokens are counted; inline, the sink's."),
});

/** Cuts a document into chunks that fit the model, along its structure, so that an edit changes few of them. */
export const chunk = defineTransform({
  name: "chunk",
  version: "1.0.0",
  summary: "Cuts documents into chunks that fit the embedding model.",
  config,
  accepts: ["dev.sluice.document."],
  emits: ["dev.sluice.document."],
  async open(opening) {
    const { maxTokens, maxChunks, context, embedding } = opening.config;
    const [{ fromMarkdown }, model] = await Promise.all([
      import("mdast-util-from-markdown"),
      describeEmbedding(embedding, opening),
    ]);
    const budget = {
      maxTokens: roomOf(maxTokens, model, { transform: "chunk", code: "chunk.max-tokens" }),
      hardLimit: model.maxTokens,
      countTokens: model.countTokens,
    };
    return {
      apply: (events, applying) =>
        applyEach("chunk", events, applying, async (event, breathe) => {
          if (event.type !== "dev.sluice.document.upserted") throw unexpected("chunk", event);
          const { segments = [], ...data } = event.data;
          // Counted by another model, they say nothing here.
          const counted = data.model === model.fingerprint ? segments : [];
          const own = { ...budget, counted: new Map(counted.map((one) => [one.start, one])) };
          const run = { fromMarkdown, context, maxChunks, budget: own, breathe };
          const pieces = await piecesIn(event, run);
          return { ...event, data: { ...data, chunks: await identified(pieces, breathe) } };
        }),
    };
  },
});

interface Run {
  readonly fromMarkdown: FromMarkdown;
  readonly context: boolean;
  readonly maxChunks: number;
  readonly budget: Budget;
  readonly breathe: Breathe;
}

async function piecesIn(
  { subject, data }: DocumentUpserted,
  { fromMarkdown, context, maxChunks, budget, breathe }: Run,
): Promise<readonly Piece[]> {
  const pieces: Piece[] = [];
  for await (const section of sectionsIn(data, { fromMarkdown, asPath: context, breathe }))
    for (const piece of await piecesOf(data.text, section, { budget, breathe })) {
      if (pieces.length === maxChunks) throw tooMany(subject, maxChunks);
      pieces.push(piece);
    }
  return pieces;
}

function tooMany(subject: string, maxChunks: number): PoisonError {
  return new PoisonError(`chunk: "${subject}" falls into more than ${maxChunks} chunks.`, {
    code: "chunk.too-many",
    fix: "Raise `maxChunks`, split the document, or exclude it in the source.",
  });
}
