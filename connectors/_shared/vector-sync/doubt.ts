import type { Fence, Manifest, StateStore } from "sluice";
import { manifestsPrefixOf, toHeld, toJson } from "./manifest.ts";

/**
 * For an index that was found empty: turns all that manifests call certain into uncertain, so that
 * no document is taken for unchanged. Safe at any time: an uncertain chunk is written or deleted again.
 * Returns how many documents it was.
 */
export async function doubtManifests(
  state: StateStore,
  namespace: string,
  fence: Fence,
): Promise<number> {
  let doubted = 0;
  for await (const page of state.scan(manifestsPrefixOf(namespace))) {
    const writes = page.flatMap((entry) => {
      const { manifest } = toHeld(entry.key, entry);
      if (manifest === undefined || manifest.chunks.length === 0) return [];
      const value = toJson(uncertain(manifest));
      return [{ key: entry.key, value, expect: entry.revision }];
    });
    if (writes.length > 0) await state.each(writes, fence);
    doubted += writes.length;
  }
  return doubted;
}

function uncertain(manifest: Manifest): Manifest {
  const ids = manifest.chunks.map(({ id }) => id);
  return {
    ...manifest,
    state: "pending",
    chunks: [],
    pending: [...ids, ...(manifest.pending ?? [])],
  };
}
