import type { Embedder, Entry, Log, Manifest, StateStore, VectorStore, WriteRun } from "sluice";
import { adopt } from "./adopt.ts";
import { checkModel, firstModel } from "./first-vector.ts";
import type { Trust } from "./held.ts";
import type { Journal } from "./journal.ts";
import { manifestsPrefix, neverCompared, toManifest } from "./manifest.ts";
import { checkLease, storeRun, type Bounds } from "./requests.ts";
import type { Visibility } from "./visibility.ts";

/** What state knows of a namespace. Absent: we never wrote there. */
interface Note {
  /** Of the index it is in: another one holds other vectors. */
  readonly target: string;
  readonly epoch: number;
  /** The whole epoch at which the namespace was found empty. */
  readonly emptyAt?: number;
  /** The log position of the index when it was last judged. */
  readonly lsn: string;
}

/** What all namespaces share. */
interface Root {
  /** When state was last found to have gone back (`Date.now()`); 0 = never. */
  readonly epoch: number;
}

export const rootKey = "n";
/** What state lost is read again at once; this is for consumers that stand still meanwhile. */
const unnotedForMs = 24 * 60 * 60 * 1_000;

export interface Namespaces {
  readonly keyOf: (namespace: string) => string;
  /** Judges a namespace before its first use. `true`: just now, so manifests read before may be outdated. */
  readonly open: (namespace: string, run: WriteRun) => Promise<boolean>;
  /** Judges every namespace there is, once, for a sink whose documents may be in any of them. */
  readonly openAll: (run: WriteRun) => Promise<void>;
  /** Takes over what state says of an opened one; false when it says nothing any more: open it again. */
  readonly refresh: (namespace: string, entry: Entry | undefined) => boolean;
  /** The epoch of an opened namespace: what is written now is noted under it. */
  readonly epochOf: (namespace: string, root: Entry | undefined) => number;
  readonly trustOf: (manifest: Manifest, root: Entry | undefined) => Trust;
  /**
   * What trust a document without notes deserves, and where it may be all the same: for a day after state went back
   * it may have had some. Where it may be is not known in an index of many namespaces.
   */
  readonly unnoted: (root: Entry | undefined) => {
    readonly trust: Trust;
    readonly namespace: string | undefined;
  };
  /** The only namespace, if it is always the same. */
  readonly fixed: string | undefined;
  /** State was found to have gone back: from now on every older note is compared with the index first. */
  readonly doubtAll: (run: WriteRun) => Promise<void>;
}

/**
 * Knows how far notes about a namespace can be trusted. An epoch counts the findings that the index
 * differs from them (emptied, another index, state gone back); a note of an older epoch is compared
 * with the index when its document is next touched, and not before.
 */
export function openNamespaces(options: {
  readonly store: VectorStore;
  readonly embedder: Embedder;
  readonly state: StateStore;
  readonly journal: Journal;
  readonly visible: Visibility;
  /** Names the index. */
  readonly target: string;
  /** The only namespace, if it is always the same: then the journal's log positions are of this one. */
  readonly fixed: string | undefined;
  readonly log: Log;
}): Namespaces {
  const { store, embedder, state, journal, visible, target, fixed, log } = options;
  const notes = new Map<string, Note>();
  const opening = new Map<string, Promise<void>>();
  let all: Promise<void> | undefined;

  async function judge(namespace: string, run: WriteRun): Promise<void> {
    const key = keyOf(namespace);
    const [before] = await state.get([key]);
    let model = await modelIn(namespace, run);
    let position: bigint | undefined;
    // What looks empty, or has no notes, may only lag behind what was written to it.
    const isNew = before === undefined && fixed === undefined;
    if (model === undefined ? !isNew : before === undefined) {
      position = await barrier(store, visible, namespace, run);
      model = await modelIn(namespace, run);
    } else position = await positionOf(namespace, run);
    // After the listing: another worker notes it before it writes its first vector.
    const [rootEntry, entry] = await state.get([rootKey, key]);
    const known = toNote(entry);
    const note = await judged(namespace, { known, model, position, root: toRoot(rootEntry) }, run);
    notes.set(namespace, note);
    if (note === known) return;
    const write = { key, value: { ...note }, expect: entry?.revision ?? 0 };
    const [done] = await state.each([write], run.fence);
    // Somebody else judged it at the same time: theirs stands.
    if (done !== true) refresh(namespace, (await state.get([key]))[0]);
  }

  async function modelIn(namespace: string, run: WriteRun): Promise<string | null | undefined> {
    checkLease(run);
    const model = await firstModel(store, storeRun(run, namespace));
    checkModel(model, embedder.fingerprint, namespace);
    return model;
  }

  async function judged(
    namespace: string,
    found: {
      readonly known: Note | undefined;
      /** `undefined`: the namespace is empty. */
      readonly model: string | null | undefined;
      readonly position: bigint | undefined;
      readonly root: Root;
    },
    run: WriteRun,
  ): Promise<Note> {
    const { known, model, position = 0n, root } = found;
    const lsn = String(position);
    if (known?.target !== target) {
      const adopted = model === undefined ? 0 : await adopt({ store, state, namespace, run });
      if (adopted > 0)
        log.warn(
          { namespace, documents: adopted },
          "the index holds documents that state has no notes of: took them over from its listing",
        );
      return { target, lsn, epoch: known === undefined ? 0 : after(known.epoch) };
    }
    if (model === undefined) {
      const epoch = after(known.epoch);
      if (await isNoted(namespace))
        log.warn(
          { namespace },
          "the index is empty, though state has notes of its documents: they are written as they change, `sluice verify --repair` has all of them sent again",
        );
      return { target, lsn, epoch, emptyAt: root.epoch + epoch };
    }
    if (namespace !== fixed || position <= BigInt(known.lsn)) return known;
    if (position <= (await journal.explained())) return known;
    log.warn(
      { namespace },
      "the index has writes that state does not know of: documents are compared with it as they change, `sluice verify` tells of the others",
    );
    return { target, lsn, epoch: after(known.epoch) };
  }

  async function isNoted(namespace: string): Promise<boolean> {
    for await (const page of state.scan(manifestsPrefix))
      for (const entry of page) {
        const manifest = toManifest(entry);
        if (manifest?.state === "live" && manifest.namespace === namespace) return true;
      }
    return false;
  }

  async function positionOf(namespace: string, run: WriteRun): Promise<bigint | undefined> {
    checkLease(run);
    const vector = new Float32Array(embedder.dimensions).fill(1);
    return (await store.query({ vector, topK: 1 }, storeRun(run, namespace))).lsn;
  }

  async function open(namespace: string, run: WriteRun): Promise<boolean> {
    if (notes.has(namespace)) return false;
    const current = opening.get(namespace) ?? judge(namespace, run);
    opening.set(namespace, current);
    try {
      await current;
    } finally {
      if (opening.get(namespace) === current) opening.delete(namespace);
    }
    return true;
  }

  function refresh(namespace: string, entry: Entry | undefined): boolean {
    const note = toNote(entry);
    if (note === undefined) notes.delete(namespace);
    else notes.set(namespace, note);
    return note !== undefined;
  }

  function epochOf(namespace: string, root: Entry | undefined): number {
    return toRoot(root).epoch + (notes.get(namespace)?.epoch ?? 0);
  }

  async function judgeAll(run: WriteRun): Promise<void> {
    const [root] = await state.get([rootKey]);
    if (root !== undefined) return;
    for await (const page of store.namespaces?.({ signal: run.signal }) ?? [])
      for (const namespace of page) await open(namespace, run);
    await state.each([{ key: rootKey, value: { epoch: 0 }, expect: 0 }], run.fence);
  }

  return {
    keyOf,
    open,
    refresh,
    epochOf,
    async openAll(run) {
      const current = (all ??= judgeAll(run));
      try {
        await current;
      } catch (error) {
        if (all === current) all = undefined;
        throw error;
      }
    },
    trustOf(manifest, root) {
      const { namespace, epoch } = manifest;
      const now = epochOf(namespace, root);
      if (namespace === "" || epoch >= now) return "whole";
      // Marked to be compared, after whatever was found before: `verify --repair`, a note made from a listing.
      if (epoch === neverCompared) return "doubtful";
      return notes.get(namespace)?.emptyAt === now ? "nothing-is-there" : "doubtful";
    },
    fixed,
    unnoted(root) {
      const isLate = Date.now() - toRoot(root).epoch > unnotedForMs;
      return isLate
        ? { trust: "whole", namespace: undefined }
        : { trust: "doubtful", namespace: fixed };
    },
    async doubtAll(run) {
      const [root] = await state.get([rootKey]);
      const value = { epoch: after(toRoot(root).epoch) };
      await state.each([{ key: rootKey, value, expect: root?.revision ?? 0 }], run.fence);
      log.warn(
        {},
        "state went back: documents are compared with the index as they change, `sluice verify` tells of the others",
      );
    },
  };
}

/**
 * Resolves when readers see all that was accepted before, by a write that changes nothing; to its log
 * position, where the store tells.
 */
export async function barrier(
  store: VectorStore,
  visible: Visibility,
  namespace: string,
  run: Bounds,
): Promise<bigint | undefined> {
  const lsn = await headOf(store, namespace, run);
  await visible.seen({ namespace, lsn, evidence: undefined }, run.signal);
  return lsn;
}

/**
 * The end of a namespace's log, by a write that changes nothing; `undefined` where the store tells no
 * position, or there is no such namespace.
 */
export async function headOf(
  store: VectorStore,
  namespace: string,
  run: Bounds,
): Promise<bigint | undefined> {
  checkLease(run);
  return (await store.remove([absentId], storeRun(run, namespace))).lsn;
}

/** No document has this id: a docKey is never empty. */
const absentId = "#";

function keyOf(namespace: string): string {
  return `${rootKey}/${namespace}`;
}

/** Never used before, not even by a state that was lost since. */
function after(epoch: number): number {
  return Math.max(epoch + 1, Date.now());
}

function toNote(entry: Entry | undefined): Note | undefined {
  // Only this file writes these keys.
  return entry?.value as unknown as Note | undefined;
}

function toRoot(entry: Entry | undefined): Root {
  return (entry?.value as unknown as Root | undefined) ?? { epoch: 0 };
}
