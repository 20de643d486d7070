import { hash } from "node:crypto";
import type { Json } from "sluice";

/** Names a vector: equal keys mean an equal vector, whatever document, batch or run it is for. */
export function embedKeyOf(fingerprint: string, embeddedText: string): string {
  const text = JSON.stringify([fingerprint, "passage", embeddedText]);
  return hash("sha256", text, "hex").slice(0, 32);
}

/** The `_m` of every vector: 16 hex that name the model, readable from the index alone. */
export function modelMarkOf(fingerprint: string): string {
  return digest(fingerprint, 16);
}

/** Equal for equal content, whatever the order of object keys. */
export function metadataHashOf(metadata: { readonly [key: string]: Json }): string {
  return digest(metadata, 16);
}

/** The `_h` of a vector: 16 hex that name values and metadata, so that either can be told from the index alone. */
export function markOf(chunk: {
  readonly embedKey: string;
  readonly metadataHash: string;
}): string {
  return hash("sha256", `${chunk.embedKey}/${chunk.metadataHash}`, "hex").slice(0, 16);
}

function digest(value: Json, digits: number): string {
  return hash("sha256", JSON.stringify(sorted(value)), "hex").slice(0, digits);
}

function sorted(value: Json): Json {
  if (value === null || typeof value !== "object") return value;
  if (isList(value)) return value.map(sorted);
  // Pairs, not an object: engines move keys that look like numbers to the front.
  return Object.keys(value)
    .toSorted()
    .map((key) => [key, sorted(value[key] ?? null)]);
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
