import type { Metadata } from "sluice";
import { markOf, metadataHashOf } from "./content-hash.ts";

/** What a vector in the index says it is, and what its metadata really is. */
export interface Reading {
  /** Its `_h`. */
  readonly mark: string;
  /** Computed from what came back: somebody else may have changed it. */
  readonly metadataHash: string;
}

export function readingOf(metadata: Metadata): Reading {
  const { _h, _v: _, ...rest } = metadata;
  return { mark: String(_h ?? ""), metadataHash: metadataHashOf(rest) };
}

/** True when the vector is what its document's notes, or its newest version, want it to be. */
export function isReadAs(
  reading: Reading | undefined,
  chunk: { readonly embedKey: string; readonly metadataHash: string },
): boolean {
  return reading?.mark === markOf(chunk) && reading.metadataHash === chunk.metadataHash;
}
