import type { Embedder } from "sluice";
import { checkTexts, checkVectors } from "./checks.ts";
import type { EmbeddingDescription } from "./embedding.ts";

/**
 * Describes the hashing embedder. Its tokens are counted the way word pieces roughly fall: one for
 * every six letters or digits of a word, one for every other visible character.
 */
export function describeHash(dimensions: number): EmbeddingDescription {
  return {
    fingerprint: `hash@1/${dimensions}/normalised`,
    dimensions,
    maxTokens: 512,
    countTokens,
  };
}

/** Opens the hashing embedder: texts that share words and word pairs are near, nothing else is. */
export function openHash(dimensions: number): Embedder {
  const embedder = {
    ...describeHash(dimensions),
    maxTexts: 1_024,
    maxTokensPerRequest: 512 * 1_024,
  };
  return {
    ...embedder,
    embed: async (texts, { signal }) => {
      signal.throwIfAborted();
      checkTexts(texts, embedder);
      const vectors = texts.map((text) => hashed(text, dimensions));
      checkVectors(vectors, { texts: texts.length, dimensions });
      return vectors;
    },
    close: async () => {},
  };
}

function countTokens(text: string): number {
  let tokens = 0;
  for (const [piece] of text.matchAll(/[\p{L}\p{N}\p{M}]+|\S/gu))
    tokens += Math.ceil(piece.length / 6);
  return tokens;
}

function hashed(text: string, dimensions: number): Float32Array {
  const words = text.toLowerCase().match(/[\p{L}\p{N}\p{M}]+/gu) ?? [text.trim()];
  const vector = new Float32Array(dimensions);
  // n words and n - 1 pairs, each worth 1 or -1: an odd sum, so the vector is never all zeros.
  for (const [at, word] of words.entries()) {
    add(vector, word);
    if (at > 0) add(vector, `${words[at - 1]} ${word}`);
  }
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

function add(vector: Float32Array, feature: string): void {
  const hash = fnv1a(feature);
  const slot = (hash >>> 1) % vector.length;
  vector[slot] = (vector[slot] ?? 0) + (hash & 1 ? 1 : -1);
}

/** FNV-1a over UTF-16 units, with a last mix because its low bits are weak. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return (hash ^ (hash >>> 16)) >>> 0;
}
