import type { Auditor, Manifest, RecordName, StateStore, StateWrite, VectorStore } from "sluice";
import { chunkIdsOf } from "../chunk-ids.ts";
import { docKeyOf, vectorIdOf } from "../doc-key.ts";
import { openJournal } from "../journal.ts";
import { manifestKeyOf, toJson } from "../manifest.ts";
import { barrier } from "../namespaces.ts";
import { packs } from "../packs.ts";
import { storeRun, type Bounds } from "../requests.ts";
import type { VectorCache } from "../vector-cache.ts";
import type { Visibility } from "../visibility.ts";
import { notesOf, type Note } from "./note.ts";

/** Not a lease that anybody holds: whose writes the journal explains. */
const fence = { lease: "erase", token: 0 };

/**
 * Removes every trace of a record: its vectors, wherever they are, its notes, and the cache of vectors as
 * a whole, because what an earlier text of it was embedded to, nobody can tell any more. The caller sees
 * to it that nothing of the record is still to be handled.
 */
export function eraser(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly visible: Visibility;
  readonly cache: VectorCache;
  readonly fixed: string | undefined;
}): Auditor["erase"] {
  const { store, state, visible, cache, fixed } = options;
  const journal = openJournal(state);

  return async (record, { signal }) => {
    const run: Bounds = { signal, deadline: Infinity };
    const docKey = docKeyOf(record.source, record.subject);
    const chunksIn = (namespace: string) => chunkIdsOf(store, docKey, { namespace, signal });
    const places = await placesOf(docKey, signal);
    const held = new Map<string, readonly string[]>();
    for (const namespace of places) {
      await barrier(store, visible, namespace, run);
      held.set(namespace, await chunksIn(namespace));
    }
    const { isKnown, revision } = await close(record, docKey, held);
    let vectors = 0;
    for (const [namespace, ids] of held)
      for (const pack of packs(ids, { maxCount: store.limits.maxDeleteIds })) {
        const whole = pack.map((id) => vectorIdOf(docKey, id));
        await store.remove(whole, storeRun(run, namespace));
        vectors += pack.length;
      }
    let remaining = 0;
    let highest: bigint | undefined;
    for (const namespace of places) {
      const lsn = await barrier(store, visible, namespace, run);
      if (lsn !== undefined && (highest === undefined || lsn > highest)) highest = lsn;
      remaining += (await chunksIn(namespace)).length;
    }
    const writes: StateWrite[] = [journal.end(fence, highest)];
    // Written by somebody else meanwhile: then it is theirs, and the caller finds it.
    if (remaining === 0)
      writes.push({ key: manifestKeyOf(docKey), value: undefined, expect: revision });
    await state.each(writes);
    return {
      places: [...held].flatMap(([namespace, ids]) => (ids.length > 0 ? [namespace] : [])),
      vectors,
      manifests: isKnown ? 1 : 0,
      cachedEmbeddings: await cache.clear(),
      remaining,
    };
  };

  /** Every namespace it may be in: the notes may be wrong, or gone. */
  async function placesOf(docKey: string, signal: AbortSignal): Promise<readonly string[]> {
    if (fixed !== undefined) return [fixed];
    const [note] = await notesOf(state, [docKey]);
    const { namespace, elsewhere = [] } = note?.manifest ?? {};
    const places = new Set(elsewhere.map((place) => place.namespace));
    if (namespace) places.add(namespace);
    for await (const page of store.namespaces?.({ signal }) ?? [])
      for (const name of page) places.add(name);
    return [...places];
  }

  /** From here on no worker believes older notes, and a crash leaves what is to be done. */
  async function close(
    record: RecordName,
    docKey: string,
    held: ReadonlyMap<string, readonly string[]>,
  ): Promise<{ readonly isKnown: boolean; readonly revision: number }> {
    for (;;) {
      const [note] = await notesOf(state, [docKey]);
      const value = toJson(closedOf(record, note, held));
      const expect = note?.revision ?? 0;
      const [done] = await state.each([{ key: manifestKeyOf(docKey), value, expect }]);
      if (done === true) return { isKnown: note !== undefined, revision: expect + 1 };
    }
  }
}

function closedOf(
  record: RecordName,
  note: Note | undefined,
  held: ReadonlyMap<string, readonly string[]>,
): Manifest {
  const [[namespace, ids] = ["", []], ...others] = [...held];
  return {
    ...record,
    partitionkey: note?.manifest.partitionkey ?? `${record.source}\n${record.subject}`,
    version: note?.manifest.version ?? "",
    model: note?.manifest.model ?? "",
    lineage: [],
    state: "pending",
    deletedAt: Date.now(),
    namespace,
    epoch: note?.manifest.epoch ?? 0,
    chunks: [],
    pending: ids,
    ...(others.length > 0 && {
      elsewhere: others.map(([name, some]) => ({ namespace: name, ids: some })),
    }),
  };
}
