import { setImmediate } from "node:timers/promises";
import { ConfigError, defineTransform, z, type DocumentUpserted } from "sluice";
import { describeEmbedding, embeddingConfig } from "../../_shared/embedders/embedding.ts";
import { applyEach, unexpected } from "../../_shared/text/apply-each.ts";
import { isMarkdown } from "../../_shared/text/media-type.ts";
import { identified, piecesOf, type Budget, type Piece } from "./chunks.ts";
import { sectionsOf, type FromMarkdown } from "./markdown.ts";
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
  async open({ config: { maxTokens, context, embedding } }) {
    const [{ fromMarkdown }, model] = await Promise.all([
      import("mdast-util-from-markdown"),
      describeEmbedding(embedding),
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
      apply: (events, { signal }) =>
        applyEach("chunk", events, async (event) => {
          if (event.type !== "dev.sluice.document.upserted") throw unexpected("chunk", event);
          const pieces = await piecesIn(event, { fromMarkdown, context, budget, signal });
          return { ...event, data: { ...event.data, chunks: identified(pieces) } };
        }),
    };
  },
});

interface Run {
  readonly fromMarkdown: FromMarkdown;
  readonly context: boolean;
  readonly budget: Budget;
  readonly signal: AbortSignal;
}

async function piecesIn(event: DocumentUpserted, run: Run): Promise<readonly Piece[]> {
  const { text, mediaType } = event.data;
  const sections = isMarkdown(mediaType)
    ? sectionsOf(text, { fromMarkdown: run.fromMarkdown, asPath: run.context })
    : [{ path: [], units: paragraphsOf(text) }];
  const pieces: Piece[] = [];
  let since = performance.now();
  for (const section of sections) {
    for (const piece of piecesOf(text, section, run.budget)) pieces.push(piece);
    // A long document must not hold up the other work of this thread.
    if (performance.now() - since < 20) continue;
    await setImmediate();
    run.signal.throwIfAborted();
    since = performance.now();
  }
  return pieces;
}
