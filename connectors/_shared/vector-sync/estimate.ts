import type { EmbedderDescription, Estimator } from "sluice";
import { embeddedText } from "../embedders/embedded-text.ts";
import { embedKeyOf } from "./content-hash.ts";

/** What a first run would embed of documents. */
export function estimator(model: EmbedderDescription): Estimator {
  const { fingerprint, countTokens, pricePerMillionTokens } = model;
  return {
    model: fingerprint,
    ...(pricePerMillionTokens !== undefined && { pricePerMillionTokens }),
    textsOf: ({ data }) =>
      (data.chunks ?? []).map((chunk) => {
        const text = embeddedText(chunk);
        return { key: embedKeyOf(fingerprint, text), tokens: countTokens(text) };
      }),
  };
}
