import type { VectorStore, WriteRun } from "sluice";
import { chunkIdsOf } from "./chunk-ids.ts";
import { vectorIdOf } from "./doc-key.ts";
import { inspected, type Held } from "./held.ts";
import { packs } from "./packs.ts";
import { readingOf, type Reading } from "./reading.ts";
import { checkLease, storeRun, together } from "./requests.ts";

const maxLists = 8;

/**
 * Reads from the index itself what it holds of some documents: ids by listing, then each vector.
 * What the documents left in other namespaces is listed too.
 */
export async function inspect(
  store: VectorStore,
  documents: readonly Held[],
  run: WriteRun,
): Promise<readonly Held[]> {
  const found: Held[] = [];
  for (const pack of packs(documents, { maxCount: maxLists })) {
    const listed = pack.map((held) => ({ held, ids: [] as string[], left: held.elsewhere }));
    await together(
      listed.map(async (one) => {
        const { docKey, namespace, elsewhere } = one.held;
        one.ids = await idsOf(docKey, namespace);
        const left = elsewhere.map(async (place) => ({
          namespace: place.namespace,
          ids: [...new Set([...place.ids, ...(await idsOf(docKey, place.namespace))])],
        }));
        one.left = await Promise.all(left);
      }),
    );
    for (const { held, ids, left } of listed)
      found.push({ ...inspected(held, await readingsOf(held, ids)), elsewhere: left });
  }
  return found;

  async function idsOf(docKey: string, namespace: string): Promise<string[]> {
    if (namespace === "") return [];
    checkLease(run);
    return chunkIdsOf(store, docKey, storeRun(run, namespace));
  }

  async function readingsOf(held: Held, ids: readonly string[]): Promise<Map<string, Reading>> {
    const readings = new Map<string, Reading>();
    const prefix = vectorIdOf(held.docKey, "");
    const all = ids.map((id) => prefix + id);
    for (const pack of packs(all, { maxCount: store.limits.maxFetchIds })) {
      checkLease(run);
      for (const { id, metadata } of await store.fetch(pack, storeRun(run, held.namespace)))
        readings.set(id.slice(prefix.length), readingOf(metadata));
    }
    // Listed but not fetched: it went meanwhile, or the reading lags. Uncertain either way.
    for (const id of ids) if (!readings.has(id)) readings.set(id, nothingKnown);
    return readings;
  }
}

const nothingKnown: Reading = { mark: "", metadataHash: "", version: "" };
