import { PoisonError, SluiceError, type Embedder } from "sluice";

/** Refuses what no model can embed faithfully. Every embedder calls it before it works. */
export function checkTexts(
  texts: readonly string[],
  { maxTexts, maxTokens, countTokens }: Pick<Embedder, "maxTexts" | "maxTokens" | "countTokens">,
): void {
  if (texts.length > maxTexts)
    throw new RangeError(`embed: ${texts.length} texts in one call; at most ${maxTexts} fit.`);
  for (const [at, text] of texts.entries()) {
    const which = `text ${at + 1} of ${texts.length}`;
    if (text.trim() === "")
      throw new PoisonError(`embed: ${which} is empty.`, {
        code: "embed.empty",
        fix: "Leave out empty chunks: an empty text has no meaning to find.",
      });
    const tokens = countTokens(text);
    if (tokens > maxTokens)
      throw new PoisonError(`embed: ${which} has ${tokens} tokens; the model sees ${maxTokens}.`, {
        code: "embed.too-long",
        fix: "Cut it with the `chunk` transform, which measures with the model's own tokenizer.",
      });
  }
}

/** Refuses answers that would poison an index unseen: a missing, short, non-finite or zero vector. */
export function checkVectors(
  vectors: readonly Float32Array[],
  { texts, dimensions }: { readonly texts: number; readonly dimensions: number },
): void {
  const wrong = problemOf(vectors, texts, dimensions);
  if (wrong !== undefined)
    throw new SluiceError(`embed: the model answered ${wrong}.`, {
      code: "embed.bad-vector",
      fix: "Check that the configured model is the one that answers.",
    });
}

function problemOf(
  vectors: readonly Float32Array[],
  texts: number,
  dimensions: number,
): string | undefined {
  if (vectors.length !== texts) return `${vectors.length} vectors for ${texts} texts`;
  for (const vector of vectors) {
    if (vector.length !== dimensions)
      return `a vector of ${vector.length} dimensions instead of ${dimensions}`;
    let sum = 0;
    // By index, not by iterator: this runs for every number of every vector.
    for (let at = 0; at < vector.length; at++) sum += Math.abs(vector[at] ?? 0);
    if (!Number.isFinite(sum)) return "a vector that is not finite";
    if (sum === 0) return "a vector of zeros";
  }
  return undefined;
}
