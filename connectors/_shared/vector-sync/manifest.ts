import type { Entry, Json, Manifest } from "sluice";
import { docKeyPrefixOf } from "./doc-key.ts";

/** A document's manifest as read, or the lack of one. */
export interface Held {
  readonly docKey: string;
  /** The state entry's revision; 0 = absent. */
  readonly revision: number;
  readonly manifest: Manifest | undefined;
  /** Chunk ids that may be in the index besides the manifest's `chunks`. */
  readonly uncertain: readonly string[];
}

export function manifestKeyOf(namespace: string, docKey: string): string {
  return `${manifestsPrefixOf(namespace)}${docKey}#`;
}

/** The beginning of all manifest keys of a namespace. */
export function manifestsPrefixOf(namespace: string): string {
  return `m/${namespace}/`;
}

/** The beginning of the manifest keys of one source. */
export function manifestPrefixOf(namespace: string, source: string): string {
  return manifestsPrefixOf(namespace) + docKeyPrefixOf(source);
}

export function docKeyIn(namespace: string, manifestKey: string): string {
  return manifestKey.slice(manifestsPrefixOf(namespace).length, -1);
}

export function toHeld(docKey: string, entry: Entry | undefined): Held {
  // Only this room writes these keys.
  const manifest = entry?.value as unknown as Manifest | undefined;
  return {
    docKey,
    revision: entry?.revision ?? 0,
    manifest,
    uncertain: manifest?.pending ?? [],
  };
}

export function toJson(manifest: Manifest): Json {
  return manifest as unknown as Json;
}
