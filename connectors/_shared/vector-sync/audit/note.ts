import type { Manifest, StateStore } from "sluice";
import { manifestKeyOf, toManifest } from "../manifest.ts";

/** A manifest as it was read. */
export interface Note {
  readonly manifest: Manifest;
  readonly revision: number;
}

export async function notesOf(
  state: StateStore,
  docKeys: readonly string[],
): Promise<readonly (Note | undefined)[]> {
  const entries = await state.get(docKeys.map(manifestKeyOf));
  return entries.map((entry) => {
    const manifest = toManifest(entry);
    return entry && manifest ? { manifest, revision: entry.revision } : undefined;
  });
}
