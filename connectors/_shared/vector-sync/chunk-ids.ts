import type { StoreRun, VectorStore } from "sluice";
import { vectorIdOf } from "./doc-key.ts";

/**
 * The ids of a document's chunks, as the listing of a namespace shows them. A store may take a `_` of the prefix for a
 * wildcard, or a capital for a small letter: what does not begin with the very prefix is another document's, and left out.
 */
export async function chunkIdsOf(
  store: VectorStore,
  docKey: string,
  run: StoreRun,
): Promise<string[]> {
  const prefix = vectorIdOf(docKey, "");
  const ids: string[] = [];
  for await (const page of store.list(prefix, run))
    for (const id of page) if (id.startsWith(prefix)) ids.push(id.slice(prefix.length));
  return ids;
}
