import type { Manifest, StateStore, Vector, VectorStore, WriteRun } from "sluice";
import { docKeyOf } from "./doc-key.ts";
import { manifestKeyOf, neverCompared, toJson } from "./manifest.ts";
import { packs } from "./packs.ts";
import { checkLease, storeRun } from "./requests.ts";

/** The chunks of a document, as a listing shows them; `isForeign`: an id that is none of ours, whole in `docKey`. */
export interface Listed {
  readonly docKey: string;
  readonly ids: string[];
  readonly isForeign: boolean;
}

/** Below every version: whatever comes is newer than what an index without notes holds. */
const noVersion = "";

/**
 * Makes notes of what a namespace holds, in one pass through its listing, for documents that have
 * none: state was lost, or the index was filled by an earlier sink. From then on edits, deletes and
 * sweeps find them. Returns how many documents it was. May be repeated.
 */
export async function adopt(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly namespace: string;
  readonly run: WriteRun;
}): Promise<number> {
  const { store, state, namespace, run } = options;
  let adopted = 0;
  let batch: Listed[] = [];

  async function flush(): Promise<void> {
    const firsts = batch.map(({ docKey, ids }) => `${docKey}#${ids[0] ?? ""}`);
    const known = new Map<string, Vector>();
    for (const pack of packs(firsts, { maxCount: store.limits.maxFetchIds })) {
      checkLease(run);
      for (const vector of await store.fetch(pack, storeRun(run, namespace)))
        known.set(vector.id, vector);
    }
    const writes = batch.flatMap(({ docKey, ids }, at) => {
      const first = known.get(firsts[at] ?? "");
      // What names no record, or another one, is not ours and is left alone.
      const isOurs = first !== undefined && isOfRecord(first, docKey);
      const manifest = isOurs ? adoptedOf(first, ids, namespace) : undefined;
      return manifest ? [{ key: manifestKeyOf(docKey), value: toJson(manifest), expect: 0 }] : [];
    });
    const done = await state.each(writes, run.fence);
    adopted += done.filter(Boolean).length;
    batch = [];
  }

  for await (const one of documentsOf(store, storeRun(run, namespace))) {
    if (one.isForeign) continue;
    batch.push(one);
    if (batch.length >= store.limits.maxFetchIds) await flush();
  }
  if (batch.length > 0) await flush();
  return adopted;
}

/** The documents of a namespace with their chunk ids, in order; one at a time is held in memory. */
export async function* documentsOf(
  store: VectorStore,
  run: Parameters<VectorStore["list"]>[1],
): AsyncGenerator<Listed, void> {
  let current: Listed | undefined;
  for await (const page of store.list("", run))
    for (const id of page) {
      const end = id.indexOf("#");
      const docKey = end < 0 ? id : id.slice(0, end);
      if (current?.docKey === docKey && !current.isForeign) {
        current.ids.push(id.slice(end + 1));
        continue;
      }
      if (current) yield current;
      current = { docKey, ids: end < 0 ? [] : [id.slice(end + 1)], isForeign: end < 0 };
    }
  if (current) yield current;
}

/** True when the vector says of what record it is, and its id agrees: nobody else's vector does. */
export function isOfRecord({ metadata: { _src, _subject } }: Vector, docKey: string): boolean {
  const isNamed = typeof _src === "string" && typeof _subject === "string";
  return isNamed && docKeyOf(_src, _subject) === docKey;
}

/** Notes of chunks that a listing shows; `vector` is one of them, read whole. `undefined` where it is not ours. */
export function adoptedOf(
  vector: Vector | undefined,
  pending: readonly string[],
  namespace: string,
): Manifest | undefined {
  const { _src: source, _subject: subject, _pk } = vector?.metadata ?? {};
  if (typeof source !== "string" || typeof subject !== "string") return undefined;
  return {
    source,
    subject,
    partitionkey: typeof _pk === "string" ? _pk : `${source}\n${subject}`,
    version: noVersion,
    model: "",
    lineage: [],
    state: "pending",
    namespace,
    chunks: [],
    pending,
    epoch: neverCompared,
  };
}
