import {
  inScope,
  PoisonError,
  type CollectionCleared,
  type Entry,
  type Manifest,
  type StateStore,
  type Version,
  type WriteRun,
} from "sluice";
import type { applier } from "./apply.ts";
import { noVectors } from "./embedding-pass.ts";
import type { holder } from "./hold.ts";
import { docKeyIn, manifestPrefixOf, manifestsPrefix, toManifest } from "./manifest.ts";
import { deletion } from "./plan.ts";
import type { Written } from "./visibility.ts";

const pageSize = 200;
/** So many documents may go of a partition without question: of few, one is a large part. */
const alwaysAllowed = 10;

/**
 * Deletes all documents of a source, in the clear's scope, whose version is below the clear's, page by
 * page. A sweep or drop that would delete more than `maxDeleteRatio` of what the scope holds is refused
 * as a whole, with a `PoisonError`: an origin that forgot its records looks the same.
 */
export function clearer(options: {
  readonly state: StateStore;
  readonly model: string;
  readonly hold: ReturnType<typeof holder>;
  readonly apply: ReturnType<typeof applier>;
  readonly maxDeleteRatio: number;
}): (event: CollectionCleared, run: WriteRun) => Promise<ReadonlyMap<string, Written>> {
  const { state, model, hold, apply, maxDeleteRatio } = options;

  async function guard(event: CollectionCleared): Promise<void> {
    const { source, data } = event;
    const doomed = await countOf(manifestPrefixOf(source), (manifest) =>
      isGoverned(manifest, event),
    );
    if (doomed <= alwaysAllowed) return;
    const all = await countOf(
      manifestsPrefix,
      ({ state: now, partitionkey }) => now !== "tombstone" && inScope(partitionkey, data.scope),
    );
    if (doomed <= all * maxDeleteRatio) return;
    throw new PoisonError(
      `vectors: the ${data.reason} of ${source} would delete ${doomed} of ${all} documents, more than maxDeleteRatio ${maxDeleteRatio} allows.`,
      {
        code: "vectors.too-many-deletes",
        fix: "Check that the origin holds what it should. If it does, raise maxDeleteRatio and replay the dead letter.",
      },
    );
  }

  async function countOf(prefix: string, which: (manifest: Manifest) => boolean): Promise<number> {
    let count = 0;
    for await (const page of state.scan(prefix))
      for (const entry of page) {
        const manifest = toManifest(entry);
        if (manifest && which(manifest)) count += 1;
      }
    return count;
  }

  return async (event, run) => {
    const { source, data } = event;
    // A truncate says what happened, and is obeyed; the others conclude from what is not there.
    if (data.reason !== "truncate") await guard(event);
    const written = new Map<string, Written>();
    for await (const page of state.scan(manifestPrefixOf(source), { pageSize })) {
      const wishes = page
        .filter((entry) => isGovernedEntry(entry, event))
        .map(({ key }) => ({ docKey: docKeyIn(key), namespace: undefined }));
      if (wishes.length === 0) continue;
      const plans = (await hold(wishes, run)).flatMap((held) => {
        const { manifest } = held;
        if (manifest === undefined || !isGoverned(manifest, event)) return [];
        const { subject, partitionkey } = manifest;
        return deletion(held, { source, subject, partitionkey, version: data.below, model });
      });
      const applied = await apply(plans, noVectors, run);
      for (const error of applied.failures.values()) throw error;
      for (const [namespace, write] of applied.written) written.set(namespace, write);
    }
    return written;
  };
}

function isGovernedEntry(entry: Entry, event: CollectionCleared): boolean {
  const manifest = toManifest(entry);
  return manifest !== undefined && isGoverned(manifest, event);
}

function isGoverned(manifest: Manifest, { source, data }: CollectionCleared): boolean {
  return (
    manifest.source === source &&
    (manifest.version < data.below || isHalfDeleted(manifest, data.below)) &&
    manifest.state !== "tombstone" &&
    inScope(manifest.partitionkey, data.scope)
  );
}

/** A clear that a crash cut short left its own version behind. */
function isHalfDeleted({ state, deletedAt, version }: Manifest, below: Version): boolean {
  return version === below && state === "pending" && deletedAt !== undefined;
}
