import {
  deleted,
  version,
  type Auditor,
  type Drift,
  type Manifest,
  type StateStore,
  type VectorStore,
} from "sluice";
import { adoptedOf } from "../adopt.ts";
import { docKeyOf } from "../doc-key.ts";
import { manifestKeyOf, toJson } from "../manifest.ts";
import { notesOf } from "./note.ts";

/** Older than anything: it deletes what nobody has notes of, and nothing that comes by itself. */
const oldest = version({ epoch: 0, position: 0n, rank: 0, tail: 0 });
const neverCompared = -1;

/**
 * Prepares repairs: the notes of what drifted are no longer believed, so its next event is compared with
 * the index itself; what nobody has notes of gets some, and a delete. Nothing is written to the index here.
 */
export function mender(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
}): Auditor["mend"] {
  const { store, state } = options;

  return async (drifts, { signal }) => {
    const deletes: ReturnType<typeof deleted>[] = [];
    for (const drift of drifts) {
      signal.throwIfAborted();
      if (drift.kind === "old-lineage") continue;
      const removal = isOfRecord(drift)
        ? removalOf(drift, await doubted(drift))
        : await adopted(drift, signal);
      if (removal) deletes.push(removal);
    }
    return deletes;
  };

  /** What is noted of the drift's record; from now on it is compared. */
  async function doubted({ kind, source, subject, place, ids }: Drift) {
    if (source === undefined || subject === undefined) return undefined;
    const docKey = docKeyOf(source, subject);
    const [note] = await notesOf(state, [docKey]);
    if (note === undefined) return undefined;
    const { manifest } = note;
    const { elsewhere = [], namespace } = manifest;
    // When it comes again, only its own namespace is looked at.
    const isStray = kind === "orphaned" && ids.length > 0 && place !== namespace;
    const stray = { namespace: place, ids: chunkIdsOf(ids) };
    const value = toJson({
      ...manifest,
      epoch: neverCompared,
      ...(isStray && { elsewhere: [...elsewhere, stray] }),
    });
    // Changed meanwhile: then its event is under way, or was just handled.
    await state.each([{ key: manifestKeyOf(docKey), value, expect: note.revision }]);
    return manifest;
  }

  /** Of a record that is gone: no event of it will come by itself. */
  function removalOf({ kind, ids, source = "", subject = "" }: Drift, noted: Manifest | undefined) {
    if (kind !== "orphaned") return undefined;
    // Its own version: an older delete would change nothing.
    if (noted?.state === "tombstone") return deleteOf(source, subject, noted.version || oldest);
    return ids.length === 0 ? deleteOf(source, subject, oldest) : undefined;
  }

  /** Chunks that nobody knows: where their metadata says whose they are. */
  async function adopted({ ids, place: namespace }: Drift, signal: AbortSignal) {
    const [first = ""] = ids;
    const [vector] = first === "" ? [] : await store.fetch([first], { namespace, signal });
    const manifest = adoptedOf(vector, chunkIdsOf(ids), namespace);
    if (manifest === undefined) return undefined;
    const { source, subject } = manifest;
    const key = manifestKeyOf(docKeyOf(source, subject));
    await state.each([{ key, value: toJson(manifest), expect: 0 }]);
    return deleteOf(source, subject, oldest);
  }
}

function isOfRecord({ source, subject }: Drift): boolean {
  return source !== undefined && subject !== undefined;
}

function deleteOf(source: string, subject: string, at: string) {
  const time = new Date().toISOString();
  return deleted({ source, subject, key: subject, version: at, time, meta: { by: "verify" } });
}

function chunkIdsOf(ids: readonly string[]): readonly string[] {
  return ids.map((id) => id.slice(id.indexOf("#") + 1));
}
