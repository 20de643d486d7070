import { ConfigError, defineTransform, z, type DocumentUpserted } from "sluice";
import { describeEmbedding, embeddingConfig } from "../../_shared/embedders/embedding.ts";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import type { FromMarkdown } from "../../_shared/text/blocks.ts";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { isMarkdown } from "../../_shared/text/media-type.ts";
import { identified, piecesOf, type Budget, type Piece } from "./chunks.ts";
import { sectionsOf } from "./markdown.ts";
import { paragraphsOf } from "./prose.ts";

const config = z.strictObject({
  maxTokens: z
    .number()
    .int()
    .min(16)
    .optional()
    .describe("Most tokens of a chunk's text. Default: 200, or what the model leaves for text."),
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
    const { maxTokens, context, embedding } = opening.config;
    const [{ fromMarkdown }, model] = await Promise.all([
      import("mdast-util-from-markdown"),
      describeEmbedding(embedding, opening),
    ]);
    const left = model.maxTokens - model.countTokens("");
    if (maxTokens !== undefined && maxTokens > left)
      throw new ConfigError(
        `chunk: maxTokens is ${maxTokens}, but ${model.fingerprint} sees ${left} tokens of text.`,
        { code: "chunk.max-tokens", fix: `Set maxTokens to at most ${left}, or leave it out.` },
      );
    const budget = {
      maxTokens: maxTokens ?? Math.min(200, left),
      hardLimit: model.maxTokens,
      countTokens: model.countTokens,
    };
    return {
      apply: (events, run) =>
        applyEach("chunk", events, run, async (event, breathe) => {
          if (event.type !== "dev.sluice.document.upserted") throw unexpected("chunk", event);
          const pieces = await piecesIn(event, { fromMarkdown, context, budget, breathe });
          return { ...event, data: { ...event.data, chunks: await identified(pieces, breathe) } };
        }),
    };
  },
});

interface Run {
  readonly fromMarkdown: FromMarkdown;
  readonly context: boolean;
  readonly budget: Budget;
  readonly breathe: Breathe;
}

async function piecesIn(
  event: DocumentUpserted,
  { fromMarkdown, context, budget, breathe }: Run,
): Promise<readonly Piece[]> {
  const { text, mediaType } = event.data;
  if (!isMarkdown(mediaType))
    return piecesOf(text, { path: [], units: () => paragraphsOf(text) }, { budget, breathe });
  const pieces: Piece[] = [];
  for await (const section of sectionsOf(text, { fromMarkdown, asPath: context, breathe }))
    for (const piece of await piecesOf(text, section, { budget, breathe })) pieces.push(piece);
  return pieces;
}
