import { readFile } from "node:fs/promises";
import { ConfigError } from "sluice";

/** Counts with the model's own `tokenizer.json` (Hugging Face), special tokens included. */
export async function tokenizerCount(path: string): Promise<(text: string) => number> {
  const { Tokenizer } = await import("@huggingface/tokenizers");
  try {
    const file: object = JSON.parse(await readFile(path, "utf8"));
    const tokenizer = new Tokenizer(file, {});
    return (text) => tokenizer.encode(text).ids.length;
  } catch (cause) {
    throw new ConfigError(`embed: ${path} is no tokenizer file.`, {
      code: "embed.tokenizer",
      fix: "Name the tokenizer.json of the model, or leave tokenizer out.",
      cause,
    });
  }
}

/**
 * For a model whose tokenizer is not at hand: rather more than byte-pair encodings make of a text, so
 * that what is measured to fit does fit.
 */
export function estimatedCount(text: string): number {
  let tokens = 2;
  for (const [piece] of text.matchAll(/[a-z]+|[\u0080-\u{10ffff}]+|\d{1,3}|[^\sa-z\d]/giu))
    tokens += /^[a-z]/i.test(piece)
      ? Math.ceil(piece.length / 4)
      : Math.ceil(Buffer.byteLength(piece) / 2.5);
  return tokens;
}
