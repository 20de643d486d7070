import {
  PoisonError,
  RetryableError,
  SluiceError,
  type Context,
  type Manifest,
  type StateStore,
  type Vector,
  type VectorStore,
  type WriteRun,
} from "sluice";
import { bisect } from "./bisect.ts";
import { vectorIdOf } from "./doc-key.ts";
import type { WriteKind } from "./diff.ts";
import type { Embedded } from "./embedding-pass.ts";
import { checkLease } from "./lease-end.ts";
import { manifestKeyOf, toJson } from "./manifest.ts";
import { packs } from "./packs.ts";
import { pendingOf, touchesIndex, type Plan } from "./plan.ts";
import type { WantedChunk } from "./wanted.ts";

export type Failures = Map<Plan, RetryableError | PoisonError>;

interface Upsert {
  readonly plan: Plan;
  readonly kind: WriteKind;
  readonly chunk: WantedChunk;
  readonly values: Float32Array;
}

/** A float32 in its shortest decimal text, with sign, exponent and comma. */
const encodedFloatBytes = 15;
const encodedFrameBytes = 64;

/**
 * Carries out plans, all documents of a batch together: pending manifests, upserts, deletes, final
 * manifests. Each step waits for the one before, so a document is never without chunks (Invariant 6),
 * and after a crash its pending manifest says what is uncertain. Returns the plans that failed; the
 * others are complete.
 */
export function applier(options: {
  readonly store: VectorStore;
  readonly state: StateStore;
  readonly namespace: string;
  readonly meter: Context<unknown>["meter"];
  readonly tombstoneMs: number;
}): (plans: readonly Plan[], embedded: Embedded, run: WriteRun) => Promise<Failures> {
  const { store, state, namespace, meter, tombstoneMs } = options;
  const { limits } = store;

  return async (plans, { vectors, refused }, run) => {
    const failures: Failures = new Map();
    const standing = (some: readonly Plan[]) => some.filter((plan) => !failures.has(plan));

    async function save(
      some: readonly Plan[],
      writeOf: (plan: Plan) => { readonly manifest: Manifest; readonly expect: number },
    ): Promise<void> {
      if (some.length === 0) return;
      const writes = some.map((plan) => {
        const { manifest, expect } = writeOf(plan);
        return {
          key: manifestKeyOf(namespace, plan.held.docKey),
          value: toJson(manifest),
          expect,
          ...(manifest.state === "tombstone" && { ttlMs: tombstoneMs }),
        };
      });
      const done = await state.each(writes, run.fence);
      for (const [at, plan] of some.entries())
        if (done[at] !== true) failures.set(plan, changedMeanwhile(plan));
    }

    async function upsert(upserts: readonly Upsert[]): Promise<void> {
      const left = upserts.filter(({ plan }) => !failures.has(plan));
      if (left.length === 0) return;
      checkLease(run);
      await store.upsert(left.map(toVector), { namespace, signal: run.signal });
      for (const kind of ["new", "meta", "reembed"] as const) {
        const count = left.filter((one) => one.kind === kind).length;
        if (count > 0) meter("vectors_written", count, { kind });
      }
      const dropped = left.reduce((sum, { chunk }) => sum + chunk.dropped, 0);
      if (dropped > 0) meter("metadata_dropped", dropped);
    }

    // Invariant 7: a text that cannot be embedded fails its document before anything is touched.
    for (const plan of plans)
      for (const { chunk } of plan.diff.writes) {
        const error = refused.get(chunk.embedKey);
        if (error !== undefined) failures.set(plan, error);
      }

    const touching = standing(plans).filter(touchesIndex);
    await save(touching, (plan) => ({ manifest: pendingOf(plan), expect: plan.held.revision }));

    const upserts = standing(touching).flatMap((plan) =>
      plan.diff.writes.map(({ kind, chunk }): Upsert => {
        const values = vectors.get(chunk.embedKey);
        if (values === undefined) throw withoutVector(chunk);
        return { plan, kind, chunk, values };
      }),
    );
    for (const pack of packs(upserts, {
      maxCount: limits.maxVectors,
      maxSize: limits.maxBytes - encodedFrameBytes - Buffer.byteLength(namespace),
      sizeOf: ({ plan, chunk, values }) =>
        encodedFrameBytes +
        plan.held.docKey.length +
        chunk.id.length +
        values.length * encodedFloatBytes +
        chunk.bytes,
    }))
      await bisect(pack, upsert, ({ plan }, error) => failures.set(plan, error));

    const gone = standing(touching).flatMap(({ held, diff }) =>
      diff.gone.map((chunkId) => vectorIdOf(held.docKey, chunkId)),
    );
    for (const pack of packs(gone, { maxCount: limits.maxDeleteIds })) {
      checkLease(run);
      await store.remove(pack, { namespace, signal: run.signal });
      meter("vectors_deleted", pack.length);
    }

    const touched = new Set(touching);
    await save(standing(plans), (plan) => ({
      manifest: plan.outcome,
      // A write adds one to the revision.
      expect: plan.held.revision + (touched.has(plan) ? 1 : 0),
    }));
    return failures;
  };
}

function toVector({ plan, chunk, values }: Upsert): Vector {
  return {
    id: vectorIdOf(plan.held.docKey, chunk.id),
    values,
    metadata: { ...chunk.metadata, _v: plan.outcome.version },
  };
}

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
