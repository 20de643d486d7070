import type { Manifest } from "sluice";
import { diff, type Diff } from "./diff.ts";
import type { Held } from "./manifest.ts";
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
  const { manifest } = held;
  if (manifest !== undefined && identity.version < manifest.version) return { kind: "stale" };
  const plan =
    change === "delete"
      ? deletion(held, identity)
      : {
          held,
          diff: diff(change.chunks, held),
          outcome: {
            ...identity,
            lineage: change.lineage,
            state: "live" as const,
            chunks: change.chunks.map(({ id, embedKey, metadataHash, order }) => ({
              id,
              embedKey,
              metadataHash,
              order,
            })),
          },
        };
  return manifest !== undefined && isEqual(manifest, plan.outcome)
    ? { kind: "unchanged" }
    : { kind: "apply", plan };
}

/** Removes all chunks and leaves a tombstone, so that a late older version does not come back. */
export function deletion(held: Held, identity: Identity): Plan {
  const lineage = held.manifest?.lineage ?? [];
  return {
    held,
    diff: diff([], held),
    outcome: { ...identity, lineage, state: "tombstone", deletedAt: Date.now(), chunks: [] },
  };
}

/**
 * While a plan is carried out: what it does not touch is certain, all it touches is not. One with
 * `deletedAt` is a deletion under way.
 */
export function pendingOf({ diff, outcome }: Plan): Manifest {
  return {
    ...outcome,
    state: "pending",
    chunks: diff.same,
    pending: [...diff.writes.map(({ chunk }) => chunk.id), ...diff.gone],
  };
}

/** False when the manifest alone has to move. */
export function touchesIndex({ diff }: Plan): boolean {
  return diff.writes.length > 0 || diff.gone.length > 0;
}

function isEqual(manifest: Manifest, outcome: Manifest): boolean {
  return fingerprintOf(manifest) === fingerprintOf(outcome);
}

function fingerprintOf({ version, model, lineage, state, chunks }: Manifest): string {
  return JSON.stringify([
    version,
    model,
    lineage,
    state,
    chunks.map(({ id, embedKey, metadataHash, order }) => [id, embedKey, metadataHash, order]),
  ]);
}
