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
import { manifestKeyOf, toJson, neverCompared } from "../manifest.ts";
import { packs } from "../packs.ts";
import { notesOf } from "./note.ts";

/** Older than anything: it deletes what nobody has notes of, and nothing that comes by itself. */
const oldest = version({ epoch: 0, position: 0n, rank: 0, tail: 0 });

/**
 * Prepares repairs: the notes of what drifted are no longer believed, so its next event is compared with
 * the index itself; what nobody has notes of gets some, and a delete. Only ids that are no record's are deleted here,
 * when that is forced: the index is written to by nobody else.
 */
export function mender(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
}): Auditor["mend"] {
  const { store, state } = options;

  return async (drifts, { force, signal }) => {
    const deletes: ReturnType<typeof deleted>[] = [];
    let removed = 0;
    for (const drift of drifts) {
      signal.throwIfAborted();
      if (drift.kind === "old-lineage") continue;
      if (drift.isForeign) {
        if (force) removed += await remove(drift, signal);
        continue;
      }
      const removal = isNoted(drift)
        ? removalOf(drift, await doubted(drift))
        : await adopted(drift, signal);
      if (removal) deletes.push(removal);
    }
    return { deletes, removed };
  };

  /** At once: no event is about them, and no worker touches them. */
  async function remove({ ids, place: namespace }: Drift, signal: AbortSignal): Promise<number> {
    for (const pack of packs(ids, { maxCount: store.limits.maxDeleteIds }))
      await store.remove(pack, { namespace, signal });
    return ids.length;
  }

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
    const wrong = kind === "stale" && place === namespace ? chunkIdsOf(ids) : [];
    const suspect = [...new Set([...(manifest.suspect ?? []), ...wrong])];
    const value = toJson({
      ...manifest,
      epoch: neverCompared,
      ...(suspect.length > 0 && { suspect }),
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

function isNoted({ source, subject }: Drift): boolean {
  return source !== undefined && subject !== undefined;
}

function deleteOf(source: string, subject: string, at: string) {
  const time = new Date().toISOString();
  return deleted({ source, subject, key: subject, version: at, time, meta: { by: "verify" } });
}

function chunkIdsOf(ids: readonly string[]): readonly string[] {
  return ids.map((id) => id.slice(id.indexOf("#") + 1));
}
