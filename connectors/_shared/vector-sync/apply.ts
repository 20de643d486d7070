import {
  PoisonError,
  RetryableError,
  SluiceError,
  type Context,
  type Manifest,
  type StateStore,
  type StateWrite,
  type Vector,
  type VectorStore,
  type WriteRun,
} from "sluice";
import { bisect } from "./bisect.ts";
import type { WriteKind } from "./diff.ts";
import { vectorIdOf } from "./doc-key.ts";
import type { Embedded } from "./embedding-pass.ts";
import type { Journal } from "./journal.ts";
import { manifestKeyOf, toJson } from "./manifest.ts";
import { packs } from "./packs.ts";
import { doneOf, pendingOf, touchesIndex, undoOf, type Plan } from "./plan.ts";
import { checkLease, storeRun, together } from "./requests.ts";
import type { Visibility, Written } from "./visibility.ts";
import type { WantedChunk } from "./wanted.ts";

export interface Applied {
  /** The plans that failed, and why; the others are complete. */
  readonly failures: ReadonlyMap<Plan, RetryableError | PoisonError>;
  /** The last write of each namespace. */
  readonly written: ReadonlyMap<string, Written>;
}

interface Upsert {
  readonly plan: Plan;
  readonly kind: WriteKind;
  readonly chunk: WantedChunk;
  readonly vector: Vector;
}

/** A float32 in its shortest decimal text, with sign, exponent and comma. */
const encodedFloatBytes = 15;
const encodedFrameBytes = 64;

/**
 * Carries out plans, all documents of a batch together: pending manifests, upserts, deletes, what is
 * left in other namespaces, final manifests. Each step waits for the one before, so a document is
 * never without chunks (Invariant 6), and after a crash its pending manifest says what is uncertain.
 */
export function applier(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly journal: Journal;
  readonly visible: Visibility;
  readonly meter: Context<unknown>["meter"];
  readonly tombstoneMs: number;
}): (plans: readonly Plan[], embedded: Embedded, run: WriteRun) => Promise<Applied> {
  const { store, state, journal, visible, meter, tombstoneMs } = options;
  const { limits } = store;
  const bytesOf = store.bytesOf ?? estimatedBytes;

  return async (plans, { vectors, refused, keeping }, run) => {
    const failures = new Map<Plan, RetryableError | PoisonError>();
    const written = new Map<string, Written>();
    const standing = (some: readonly Plan[]) => some.filter((plan) => !failures.has(plan));
    const highest = () =>
      [...written.values()].reduce<bigint | undefined>(
        (most, { lsn }) => later(most, lsn),
        undefined,
      );

    function note(namespace: string, lsn: bigint | undefined, evidence: Written["evidence"]): void {
      const before = written.get(namespace);
      written.set(namespace, { namespace, lsn: later(before?.lsn, lsn), evidence });
    }

    async function save(
      some: readonly Plan[],
      mark: StateWrite,
      writeOf: (plan: Plan) => { readonly manifest: Manifest; readonly expect: number },
    ): Promise<void> {
      const kept = keeping.take();
      if (some.length === 0 && kept.length === 0) return;
      const writes = some.map((plan) => {
        const { manifest, expect } = writeOf(plan);
        return {
          key: manifestKeyOf(plan.held.docKey),
          value: toJson(manifest),
          expect,
          ...(manifest.state === "tombstone" && { ttlMs: tombstoneMs }),
        };
      });
      const done = await state.each([mark, ...writes, ...kept], run.fence);
      journal.stored(run.fence);
      for (const [at, plan] of some.entries())
        if (done[at + 1] !== true) failures.set(plan, changedMeanwhile(plan));
      if (kept.length > 0) await keeping.stored(done.slice(-kept.length), run.fence);
    }

    /** Sends requests side by side. A failure that may pass fails its own documents only. */
    async function send<T extends { readonly plan: Plan }>(
      requests: readonly Request<T>[],
      request: (namespace: string, items: readonly T[]) => Promise<void>,
    ): Promise<void> {
      await together(requests.map(sendOne));

      async function sendOne({ namespace, items }: Request<T>): Promise<void> {
        try {
          await bisect(
            items,
            async (some) => {
              const left = some.filter(({ plan }) => !failures.has(plan));
              if (left.length === 0) return;
              checkLease(run);
              await request(namespace, left);
            },
            ({ plan }, error) => failures.set(plan, error),
          );
        } catch (error) {
          if (!(error instanceof RetryableError)) throw error;
          for (const { plan } of items) if (!failures.has(plan)) failures.set(plan, error);
        }
      }
    }

    async function upsert(namespace: string, upserts: readonly Upsert[]): Promise<void> {
      const last = upserts.at(-1)?.vector;
      meter("upsert_calls", 1); // a failed one too
      const { lsn } = await store.upsert(
        upserts.map(({ vector }) => vector),
        storeRun(run, namespace),
      );
      note(namespace, lsn, last && { id: last.id, mark: String(last.metadata["_h"]) });
      for (const kind of ["new", "meta", "reembed"] as const) {
        const count = upserts.filter((one) => one.kind === kind).length;
        if (count > 0) meter("vectors_written", count, { kind });
      }
      const dropped = upserts.reduce((sum, { chunk }) => sum + chunk.dropped, 0);
      if (dropped > 0) meter("metadata_dropped", dropped);
    }

    async function remove(
      namespace: string,
      gone: readonly { readonly id: string }[],
    ): Promise<void> {
      const ids = gone.map(({ id }) => id);
      const { lsn } = await store.remove(ids, storeRun(run, namespace));
      note(namespace, lsn, { id: ids.at(-1) ?? "", mark: undefined });
      meter("vectors_deleted", ids.length);
    }

    // Invariant 7: a text that cannot be embedded fails its document before anything is touched.
    for (const plan of plans)
      for (const { chunk } of plan.diff.writes) {
        const error = refused.get(chunk.embedKey);
        if (error !== undefined) failures.set(plan, error);
      }

    const touching = standing(plans).filter(touchesIndex);
    const upserts = touching.flatMap((plan) =>
      plan.diff.writes.map(({ kind, chunk }): Upsert => {
        const values = vectors.get(chunk.embedKey);
        if (values === undefined) throw withoutVector(chunk);
        return { plan, kind, chunk, vector: toVector(plan, chunk, values) };
      }),
    );
    const upsertRequests = cut(upserts, ({ plan }) => plan.held.namespace, maxOf);
    const goneRequests = cut(touching.flatMap(goneOf), (one) => one.namespace, maxRemoved);
    const leftRequests = cut(touching.flatMap(leftOf), (one) => one.namespace, maxRemoved);

    await save(
      touching,
      journal.begin(run.fence, upsertRequests.length + goneRequests.length + leftRequests.length),
      (plan) => ({ manifest: pendingOf(plan), expect: plan.held.revision }),
    );
    await send(upsertRequests, upsert);
    await undo(touching.filter((plan) => failures.get(plan) instanceof PoisonError));
    await send(goneRequests, remove);
    const moving = standing(touching).filter(({ held }) => held.elsewhere.length > 0);
    await together([...new Set(moving.map(({ held }) => held.namespace))].map(seeMoved));
    await send(leftRequests, remove);

    const touched = new Set(touching);
    await save(standing(plans), journal.end(run.fence, highest()), (plan) => ({
      manifest: doneOf(plan, touched.has(plan) ? written.get(plan.held.namespace)?.lsn : undefined),
      // A write adds one to the revision.
      expect: plan.held.revision + (touched.has(plan) ? 1 : 0),
    }));
    throwIfAll(plans, failures);
    return { failures, written };

    /** What can never be written whole shall not be there by half (Invariant 5). */
    async function undo(poisoned: readonly Plan[]): Promise<void> {
      if (poisoned.length === 0) return;
      const undone = poisoned.flatMap((plan) => {
        const undo = undoOf(plan);
        return undo ? { held: plan.held, ...undo } : [];
      });
      const gone = undone.flatMap(({ held, gone: ids }) =>
        ids.map((id) => ({ namespace: held.namespace, id: vectorIdOf(held.docKey, id) })),
      );
      for (const { namespace, items } of cut(gone, (one) => one.namespace, maxRemoved)) {
        checkLease(run);
        await remove(namespace, items);
      }
      await state.each(
        undone.map(({ held, manifest }) => ({
          key: manifestKeyOf(held.docKey),
          value: manifest && toJson(manifest),
          expect: held.revision + 1,
        })),
        run.fence,
      );
    }

    /** Readers of its new place must see a document before it leaves the old one. */
    async function seeMoved(namespace: string): Promise<void> {
      const write = written.get(namespace);
      try {
        if (write) await visible.seen(write, run.signal);
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error;
        for (const plan of moving) if (plan.held.namespace === namespace) failures.set(plan, error);
      }
    }
  };

  function maxOf(namespace: string) {
    return {
      maxCount: limits.maxVectors,
      maxSize: limits.maxBytes - encodedFrameBytes - Buffer.byteLength(namespace),
      sizeOf: ({ vector }: Upsert) => bytesOf(vector),
    };
  }

  function maxRemoved() {
    return { maxCount: limits.maxDeleteIds };
  }
}

/** What one call of the store is made of. */
interface Request<T> {
  readonly namespace: string;
  readonly items: readonly T[];
}

/** Cuts items into requests: one namespace each, within bounds. */
function cut<T>(
  items: readonly T[],
  namespaceOf: (item: T) => string,
  boundsOf: (namespace: string) => Parameters<typeof packs<T>>[1],
): readonly Request<T>[] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const namespace = namespaceOf(item);
    const group = groups.get(namespace);
    if (group) group.push(item);
    else groups.set(namespace, [item]);
  }
  return [...groups].flatMap(([namespace, group]) =>
    [...packs(group, boundsOf(namespace))].map((pack) => ({ namespace, items: pack })),
  );
}

interface Gone {
  readonly plan: Plan;
  readonly namespace: string;
  readonly id: string;
}

function goneOf(plan: Plan): readonly Gone[] {
  const { held, diff } = plan;
  const { namespace, docKey } = held;
  return diff.gone.map((id) => ({ plan, namespace, id: vectorIdOf(docKey, id) }));
}

function leftOf(plan: Plan): readonly Gone[] {
  const { docKey, elsewhere } = plan.held;
  return elsewhere.flatMap(({ namespace, ids }) =>
    ids.map((id) => ({ plan, namespace, id: vectorIdOf(docKey, id) })),
  );
}

function toVector({ held, outcome }: Plan, chunk: WantedChunk, values: Float32Array): Vector {
  return {
    id: vectorIdOf(held.docKey, chunk.id),
    values,
    metadata: { ...chunk.metadata, _v: outcome.version },
  };
}

function estimatedBytes({ id, values, metadata }: Vector): number {
  const bytes = Buffer.byteLength(JSON.stringify(metadata));
  return encodedFrameBytes + id.length + values.length * encodedFloatBytes + bytes;
}

/** Where nothing went through, the store as a whole is in trouble: that is no matter of single documents. */
function throwIfAll(
  plans: readonly Plan[],
  failures: ReadonlyMap<Plan, RetryableError | PoisonError>,
): void {
  if (plans.length === 0 || failures.size < plans.length) return;
  const errors = [...failures.values()];
  const trouble = errors.find(
    (error) => error instanceof RetryableError && error.code !== manifestChanged,
  );
  if (trouble && errors.every((error) => error instanceof RetryableError)) throw trouble;
}

function later(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a > b ? a : b;
}

const manifestChanged = "vectors.manifest-changed";

function changedMeanwhile({ held }: Plan): RetryableError {
  return new RetryableError(`vectors: another worker changed the manifest of ${held.docKey}.`, {
    code: "vectors.manifest-changed",
    reason: "unreachable",
  });
}

function withoutVector({ id }: WantedChunk): SluiceError {
  return new SluiceError(`vectors: the embedder returned no vector for the chunk ${id}.`, {
    code: "vectors.vector-missing",
    fix: "Let the embedder return one vector a text, in order.",
  });
}
