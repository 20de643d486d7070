import { ConfigError, type EmbedderDescription } from "sluice";

// An endless word may be a single "unknown" token: its length must count too, or a chunk has no bound.
const maxCharactersPerToken = 20;
const defaultMaxTokens = 200;

/** What a stretch of so many UTF-16 units weighs at the very least. */
export function leastTokens(length: number): number {
  return Math.ceil(length / maxCharactersPerToken);
}

/** How many tokens of text a chunk may have: as configured, or what the model leaves. Throws `ConfigError` for more. */
export function roomOf(
  maxTokens: number | undefined,
  model: EmbedderDescription,
  tooMany: { readonly transform: string; readonly code: string },
): number {
  const left = model.maxTokens - model.countTokens("");
  if (maxTokens === undefined) return Math.min(defaultMaxTokens, left);
  if (maxTokens <= left) return maxTokens;
  const { transform, code } = tooMany;
  throw new ConfigError(
    `${transform}: maxTokens is ${maxTokens}, but ${model.fingerprint} sees ${left} tokens of text.`,
    { code, fix: `Set maxTokens to at most ${left}, or leave it out.` },
  );
}
