import type { Manifest } from "sluice";
import { markOf } from "./content-hash.ts";
import { diff, type Diff } from "./diff.ts";
import type { Held } from "./held.ts";
import type { WantedChunk } from "./wanted.ts";

/** What must be done for one document, and what its manifest says afterwards. */
export interface Plan {
  readonly held: Held;
  readonly diff: Diff;
  readonly outcome: Manifest;
}

export type Verdict =
  | { readonly kind: "apply"; readonly plan: Plan }
  | { readonly kind: "stale" | "unchanged" };

type Identity = Pick<Manifest, "source" | "subject" | "partitionkey" | "version" | "model">;

/**
 * Judges a change against what is held (Invariant 5): an older version is stale; an equal one with
 * equal content is unchanged, with other content the later arrival wins; a newer one applies, and
 * with equal content only the manifest moves.
 */
export function judge(
  held: Held,
  identity: Identity,
  change:
    | { readonly chunks: readonly WantedChunk[]; readonly lineage: readonly string[] }
    | "delete",
): Verdict {
  const { manifest, namespace, epoch } = held;
  if (manifest !== undefined && identity.version < manifest.version) return { kind: "stale" };
  if (change === "delete") {
    const plan = deletion(held, identity);
    return isDone(plan) ? { kind: "unchanged" } : { kind: "apply", plan };
  }
  const plan: Plan = {
    held,
    diff: diff(change.chunks, held),
    outcome: {
      ...identity,
      lineage: change.lineage,
      state: "live",
      namespace,
      epoch,
      chunks: change.chunks.map(({ id, embedKey, metadataHash, order }) => ({
        id,
        embedKey,
        metadataHash,
        order,
      })),
    },
  };
  return isDone(plan) ? { kind: "unchanged" } : { kind: "apply", plan };
}

/** Removes all chunks and leaves a tombstone, so that a late older version does not come back. */
export function deletion(held: Held, identity: Identity): Plan {
  const { manifest, namespace, epoch } = held;
  return {
    held,
    diff: diff([], held),
    outcome: {
      ...identity,
      lineage: manifest?.lineage ?? [],
      state: "tombstone",
      deletedAt: Date.now(),
      namespace,
      epoch,
      chunks: [],
    },
  };
}

/** Removes what an inspection found that the notes do not know of; `undefined` when there is nothing. */
export function leftoversOf(held: Held): Plan | undefined {
  const { manifest, readings } = held;
  if (manifest === undefined || manifest.state === "pending" || readings === undefined)
    return undefined;
  const known = new Set(manifest.chunks.map(({ id }) => id));
  const gone = [...readings.keys()].filter((id) => !known.has(id));
  if (gone.length === 0) return undefined;
  const outcome = { ...manifest, epoch: held.epoch };
  return { held, diff: { same: manifest.chunks, writes: [], gone }, outcome };
}

/**
 * While a plan is carried out: what it does not touch is certain, all it touches is not. One with
 * `deletedAt` is a deletion under way.
 */
export function pendingOf(plan: Plan): Manifest {
  const { held, diff, outcome } = plan;
  const { elsewhere } = held;
  const before = outcome.state === "live" ? beforeOf(held) : undefined;
  const suspect = held.manifest?.namespace === held.namespace ? held.manifest.suspect : undefined;
  return {
    ...outcome,
    state: "pending",
    chunks: diff.same,
    pending: [...diff.writes.map(({ chunk }) => chunk.id), ...diff.gone],
    ...(before !== undefined && { before }),
    // Until it is written: a crash before that must not make it believed.
    ...(suspect && { suspect }),
    ...(elsewhere.length > 0 && { elsewhere }),
  };
}

/** What was there before all attempts that are not done: through a retry their own notes stand between. */
function beforeOf({ manifest, readings }: Held): Manifest | null | undefined {
  if (manifest === undefined)
    return readings === undefined || readings.size === 0 ? null : undefined;
  return manifest.state === "pending" ? manifest.before : manifest;
}

/**
 * Takes back a plan that can never succeed: chunks that were not there before go, the notes are as
 * before but for chunks that may have been overwritten. `undefined` where that could take more than
 * the plan brought: after an attempt at another version, which may have come further.
 */
export function undoOf({ held, diff, outcome }: Plan):
  | {
      readonly gone: readonly string[];
      /** Absent: there were no notes. */
      readonly manifest?: Manifest;
    }
  | undefined {
  const { manifest, namespace } = held;
  const before = beforeOf(held);
  const written = diff.writes.map(({ chunk }) => chunk.id);
  if (manifest?.state === "pending") {
    const pending = new Set(manifest.pending);
    const isRetry = manifest.version === outcome.version && written.every((id) => pending.has(id));
    if (!isRetry) return undefined;
  }
  if (before === undefined) return undefined;
  const isHere = before?.namespace === namespace;
  const there = new Map(isHere ? before.chunks.map((chunk) => [chunk.id, chunk]) : []);
  const gone = written.filter((id) => !there.has(id));
  if (before === null) return { gone };
  const overwritten = diff.writes.flatMap(({ chunk }) => {
    const old = there.get(chunk.id);
    return old !== undefined && markOf(old) !== markOf(chunk) ? chunk.id : [];
  });
  if (overwritten.length === 0) return { gone, manifest: before };
  const chunks = before.chunks.filter(({ id }) => !overwritten.includes(id));
  return { gone, manifest: { ...before, state: "pending", chunks, pending: overwritten } };
}

/** What the manifest says once a plan is done; `lsn` is that of its last write. */
export function doneOf({ held, outcome }: Plan, lsn: bigint | undefined): Manifest {
  const before = held.manifest?.namespace === outcome.namespace ? held.manifest.lsn : undefined;
  const known = lsn === undefined ? before : String(lsn);
  return known === undefined ? outcome : { ...outcome, lsn: known };
}

/** False when the manifest alone has to move. */
export function touchesIndex({ held, diff }: Plan): boolean {
  return diff.writes.length > 0 || diff.gone.length > 0 || held.elsewhere.length > 0;
}

/** Where in the index the vector of an embedKey lies by the document's own notes, with the `_h` it must carry. */
export function vectorsHeld({
  manifest,
  isDoubtful,
  readings,
}: Held): ReadonlyMap<string, { readonly id: string; readonly mark: string }> {
  const isNothingThere = isDoubtful && readings === undefined;
  const { chunks: noted = [], suspect = [] } = manifest ?? {};
  const chunks = isNothingThere ? [] : noted.filter(({ id }) => !suspect.includes(id));
  return new Map(chunks.map((chunk) => [chunk.embedKey, { id: chunk.id, mark: markOf(chunk) }]));
}

function isDone(plan: Plan): boolean {
  const { held, outcome } = plan;
  const { manifest } = held;
  return (
    manifest !== undefined &&
    !touchesIndex(plan) &&
    manifest.epoch === outcome.epoch &&
    fingerprintOf(manifest) === fingerprintOf(outcome)
  );
}

function fingerprintOf(manifest: Manifest): string {
  const { version, model, lineage, state, namespace, chunks } = manifest;
  return JSON.stringify([
    version,
    model,
    lineage,
    state,
    namespace,
    chunks.map(({ id, embedKey, metadataHash, order }) => [id, embedKey, metadataHash, order]),
  ]);
}
