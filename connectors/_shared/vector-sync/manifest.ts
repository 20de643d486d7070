import type { Entry, Json, Manifest } from "sluice";
import { docKeyPrefixOf } from "./doc-key.ts";

/** The beginning of all manifest keys. */
export const manifestsPrefix = "m/";

export function manifestKeyOf(docKey: string): string {
  return `${manifestsPrefix}${docKey}#`;
}

/** The beginning of the manifest keys of one source. */
export function manifestPrefixOf(source: string): string {
  return manifestsPrefix + docKeyPrefixOf(source);
}

export function docKeyIn(manifestKey: string): string {
  return manifestKey.slice(manifestsPrefix.length, -1);
}

export function toManifest(entry: Entry | undefined): Manifest | undefined {
  // Only this room writes these keys.
  return entry?.value as unknown as Manifest | undefined;
}

export function toJson(manifest: Manifest): Json {
  return manifest as unknown as Json;
}

/** Every chunk id that the notes call possible in a namespace. */
export function idsIn(manifest: Manifest, namespace: string): readonly string[] {
  const { chunks, pending = [], elsewhere = [] } = manifest;
  if (manifest.namespace === namespace) return [...chunks.map(({ id }) => id), ...pending];
  return elsewhere.find((place) => place.namespace === namespace)?.ids ?? [];
}

/** An epoch below every other: what such a note says is compared with the index before it is used. */
export const neverCompared = -1;
