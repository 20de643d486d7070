import type { Turn } from "./memory.ts";

/** A question written so that it can be understood without what was said before. */
export type Rewrite = (
  text: string,
  history: readonly Turn[],
  run: { readonly signal: AbortSignal },
) => Promise<string>;

/** So few words say little alone. */
const fewWords = 4;
const pointing =
  /\b(?:it|its|it's|he|him|his|she|her|hers|they|them|their|theirs|this|that|these|those|there|one|ones|former|latter|same|such|else|instead)\b/i;
const goingOn = /^\s*(?:and|but|or|so|then|also|what about|how about|why|really)\b/i;
const maxEarlier = 3;

/**
 * What to look for where a question cannot be understood alone; `undefined` where it can. Without a model: the question
 * together with the one it follows, back to one that stands alone.
 */
export async function queryOf(
  text: string,
  history: readonly Turn[],
  { rewrite, signal }: { readonly rewrite: Rewrite | undefined; readonly signal: AbortSignal },
): Promise<string | undefined> {
  if (history.length === 0 || !isFollowUp(text)) return undefined;
  if (rewrite) return await rewrite(text, history, { signal });
  const earlier: string[] = [];
  for (const { question } of history.toReversed()) {
    earlier.unshift(question);
    if (!isFollowUp(question) || earlier.length === maxEarlier) break;
  }
  return [...earlier, text].join("\n");
}

function isFollowUp(text: string): boolean {
  const words = text.trim().split(/\s+/).length;
  return words <= fewWords || pointing.test(text) || goingOn.test(text);
}
