import { PoisonError, type Context, type Embedder } from "sluice";

/** As much as anybody can mean by one question: half a minute of a local model's time, which others wait for. */
const maxLength = 32_000;

/**
 * The vector to look for. A question that is longer than the model sees is embedded in parts, and the middle of
 * their vectors is looked for: nothing of it is cut off. Throws `PoisonError` for what is no question.
 */
export async function embedQuestion(
  embedder: Embedder,
  text: string,
  { signal, meter }: Pick<Context<unknown>, "signal" | "meter">,
): Promise<Float32Array> {
  if (text.length > maxLength)
    throw new PoisonError(`embed: a question of ${text.length} characters.`, {
      code: "embed.question-too-long",
      fix: `Ask in at most ${maxLength} characters.`,
    });
  const { countTokens, maxTokens } = embedder;
  const parts = partsOf(text, (part) => part.length < 2 || countTokens(part) <= maxTokens);
  const vectors: Float32Array[] = [];
  for (let at = 0; at < parts.length; at += embedder.maxTexts) {
    const some = parts.slice(at, at + embedder.maxTexts);
    meter("embed_calls", 1); // a failed one too
    vectors.push(...(await embedder.embed(some, { input: "query", signal })));
  }
  const [first, ...rest] = vectors;
  if (first === undefined)
    throw new PoisonError("embed: the question is empty.", {
      code: "embed.empty",
      fix: "Ask something.",
    });
  return rest.length === 0 ? first : middleOf(vectors, first.length);
}

/** Halves a text between words until its parts fit. */
function partsOf(text: string, isSmall: (part: string) => boolean): readonly string[] {
  if (text.trim() === "") return [];
  if (isSmall(text)) return [text];
  const middle = text.length >> 1;
  const gap = text.lastIndexOf(" ", middle);
  const isInPair = (text.charCodeAt(middle) & 0xfc00) === 0xdc00;
  // An endless word is cut as well as it can be.
  const at = gap > 0 ? gap + 1 : middle + (isInPair && middle + 1 < text.length ? 1 : 0);
  return [...partsOf(text.slice(0, at), isSmall), ...partsOf(text.slice(at), isSmall)];
}

/** Their mean, as long as they are: a mean of unlike vectors is shorter than any of them. */
function middleOf(vectors: readonly Float32Array[], dimensions: number): Float32Array {
  const mean = new Float64Array(dimensions);
  let lengths = 0;
  for (const vector of vectors) {
    lengths += lengthOf(vector);
    for (const [at, value] of vector.entries()) mean[at] = (mean[at] ?? 0) + value;
  }
  const scale = lengths / vectors.length / (lengthOf(mean) || 1);
  return Float32Array.from(mean, (value) => value * scale);
}

function lengthOf(vector: Float32Array | Float64Array): number {
  let squares = 0;
  for (const value of vector) squares += value * value;
  return Math.sqrt(squares);
}
