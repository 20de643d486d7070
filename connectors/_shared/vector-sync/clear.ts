import { inScope, type CollectionCleared, type Manifest, type StateStore } from "sluice";
import type { Version, WriteRun } from "sluice";
import type { applier } from "./apply.ts";
import { docKeyIn, manifestPrefixOf, toHeld } from "./manifest.ts";
import { deletion } from "./plan.ts";

const pageSize = 200;

/** Deletes all documents of a source, in the clear's scope, whose version is below the clear's, page by page. */
export async function clear(
  event: CollectionCleared,
  place: {
    readonly state: StateStore;
    readonly namespace: string;
    readonly model: string;
    readonly apply: ReturnType<typeof applier>;
  },
  run: WriteRun,
): Promise<void> {
  const { state, namespace, model, apply } = place;
  const { source, data } = event;
  for await (const page of state.scan(manifestPrefixOf(namespace, source), { pageSize })) {
    const plans = page
      .map((entry) => toHeld(docKeyIn(namespace, entry.key), entry))
      .flatMap((held) => {
        const { manifest } = held;
        const isGoverned =
          manifest !== undefined &&
          manifest.source === source &&
          (manifest.version < data.below || isHalfDeleted(manifest, data.below)) &&
          manifest.state !== "tombstone" &&
          inScope(manifest.partitionkey, data.scope);
        if (!isGoverned) return [];
        const { subject, partitionkey } = manifest;
        return deletion(held, { source, subject, partitionkey, version: data.below, model });
      });
    const failures = await apply(plans, { vectors: new Map(), refused: new Map() }, run);
    for (const error of failures.values()) throw error;
  }
}

/** A clear that a crash cut short left its own version behind. */
function isHalfDeleted({ state, deletedAt, version }: Manifest, below: Version): boolean {
  return version === below && state === "pending" && deletedAt !== undefined;
}
