import type { Embedder, EmbedderDescription } from "sluice";
import { checkTexts, checkVectors } from "./checks.ts";

/**
 * Describes the hashing embedder. Its tokens are counted the way word pieces roughly fall: one for
 * every six letters or digits of a word, one for every other visible character.
 */
export function describeHash(dimensions: number): EmbedderDescription {
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
  let before: number | undefined;
  for (const word of words) {
    const hash = folded(firstHash, word);
    add(vector, hash);
    if (before !== undefined) add(vector, folded(folded(before, " "), word));
    before = hash;
  }
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.sqrt(squares);
  for (let at = 0; at < vector.length; at++) vector[at] = (vector[at] ?? 0) / length;
  return vector;
}

function add(vector: Float32Array, feature: number): void {
  const hash = mixed(feature);
  const slot = (hash >>> 1) % vector.length;
  vector[slot] = (vector[slot] ?? 0) + (hash & 1 ? 1 : -1);
}

const firstHash = 0x811c9dc5;

/** FNV-1a over UTF-16 units, going on from a hash: of a pair of words, the first is not hashed again. */
function folded(hash: number, text: string): number {
  let value = hash;
  for (let at = 0; at < text.length; at++)
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value;
}

/** FNV's low bits are weak. */
function mixed(hash: number): number {
  const value = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return (value ^ (value >>> 16)) >>> 0;
}
