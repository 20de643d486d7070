import type { Manifest, Metadata } from "sluice";
import { markOf, metadataHashOf } from "./content-hash.ts";

/** What a vector in the index says it is, and what its metadata really is. */
export interface Reading {
  /** Its `_h`. */
  readonly mark: string;
  /** Computed from what came back: somebody else may have changed it. */
  readonly metadataHash: string;
  /** Its `_v`. */
  readonly version: string;
}

export function readingOf(metadata: Metadata): Reading {
  const { _h, _v, _t, ...rest } = metadata;
  return {
    mark: String(_h ?? ""),
    metadataHash: metadataHashOf(rest),
    version: String(_v ?? ""),
  };
}

/** True when the vector is what its document's notes, or its newest version, want it to be. */
export function isReadAs(
  reading: Reading | undefined,
  chunk: { readonly embedKey: string; readonly metadataHash: string },
): boolean {
  return reading?.mark === markOf(chunk) && reading.metadataHash === chunk.metadataHash;
}

/** False when `_v` is none that a chunk of these notes can have: no version, or one that is still to come. */
export function isDatedAs({ version }: Reading, manifest: Pick<Manifest, "version">): boolean {
  // What was taken over from a listing has no version.
  return manifest.version === "" || (isVersion.test(version) && version <= manifest.version);
}

/** As `version()` builds them. */
const isVersion = /^[0-9a-f]{24}[01]/;
