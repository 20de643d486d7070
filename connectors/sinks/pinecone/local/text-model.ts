import { createHash } from "node:crypto";
import { PoisonError, type Embedder } from "sluice";
import { localDimensions } from "./models.ts";
import { invalid } from "./refusal.ts";
import type { SparseVector } from "./row.ts";

/** The local model, as the inference and records calls use it. Opened at the first text. */
export interface TextModel {
  /** Vectors of `dimension`: the local ones, lengthened by zeros, which changes no score. */
  readonly embed: (
    texts: readonly string[],
    options: {
      readonly dimension: number;
      readonly input: "passage" | "query";
      readonly truncate: "END" | "NONE";
    },
  ) => Promise<{ readonly vectors: readonly Float32Array[]; readonly tokens: number }>;
  readonly close: () => Promise<void>;
}

export function openTextModel(open: () => Promise<Embedder>): TextModel {
  const stop = new AbortController();
  let opening: Promise<Embedder> | undefined;
  const embedder = (): Promise<Embedder> => {
    opening ??= open().catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  return {
    embed: async (texts, { dimension, input, truncate }) => {
      const model = await embedder();
      const fitting = texts.map((text) => fit(text, model, truncate));
      const vectors: Float32Array[] = [];
      for (let at = 0; at < fitting.length; at += model.maxTexts) {
        const some = fitting.slice(at, at + model.maxTexts);
        const made = await model
          .embed(some, { input, signal: stop.signal })
          .catch((error: unknown) => {
            throw error instanceof PoisonError ? invalid(error.message) : error;
          });
        vectors.push(...made.map((vector) => lengthened(vector, dimension)));
      }
      const tokens = fitting.reduce((sum, text) => sum + model.countTokens(text), 0);
      return { vectors, tokens };
    },
    close: async () => {
      stop.abort();
      const model = await opening?.catch(() => undefined); // what did not open needs no closing
      await model?.close();
    },
  };
}

/** Hashed lower-case words, each weighing 1 + ln(its count): what a text shares with another one, word by word. */
export function sparseOfText(text: string): SparseVector {
  const counts = new Map<number, number>();
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    const index = createHash("sha256").update(word).digest().readUInt32LE();
    counts.set(index, (counts.get(index) ?? 0) + 1);
  }
  const entries = [...counts].slice(0, 1_000);
  return {
    indices: entries.map(([index]) => index),
    values: entries.map(([, count]) => Math.fround(1 + Math.log(count))),
  };
}

/** The longest beginning that the model sees whole, found by halving. */
function fit(text: string, model: Embedder, truncate: "END" | "NONE"): string {
  if (text.trim() === "") throw invalid("a text to embed must not be empty");
  const isFitting = (length: number): boolean =>
    model.countTokens(text.slice(0, length)) <= model.maxTokens;
  if (isFitting(text.length)) return text;
  if (truncate === "NONE")
    throw invalid(`a text has more than the ${model.maxTokens} tokens that the model sees`);
  let [fits, tooLong] = [0, Math.min(text.length, model.maxTokens * 64)];
  if (isFitting(tooLong)) return text.slice(0, tooLong);
  while (tooLong - fits > 1) {
    const middle = (fits + tooLong) >> 1;
    if (isFitting(middle)) fits = middle;
    else tooLong = middle;
  }
  return text.slice(0, fits);
}

function lengthened(vector: Float32Array, dimension: number): Float32Array {
  if (dimension < localDimensions) throw new RangeError(`no vectors of ${dimension} dimensions`);
  const longer = new Float32Array(dimension);
  longer.set(vector);
  return longer;
}
