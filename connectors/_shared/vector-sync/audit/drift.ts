import type { Drift } from "sluice";
import { vectorIdOf } from "../doc-key.ts";
import { differenceOf, type Pair } from "./join.ts";
import type { Note } from "./note.ts";

/** What is wrong with ids of a document. */
export function driftOf(
  pair: Pick<Pair, "docKey" | "namespace" | "note">,
  kind: Drift["kind"],
  ids: readonly string[],
): Drift {
  const { docKey, namespace: place, note } = pair;
  const { source, subject } = note?.manifest ?? {};
  return {
    kind,
    place,
    ids: ids.map((id) => vectorIdOf(docKey, id)),
    ...(source !== undefined && { source }),
    ...(subject !== undefined && { subject }),
  };
}

export function* driftsIn(pair: Pair): Generator<Drift, void, void> {
  const { namespace: place, docKey, ids, isForeign } = pair;
  if (isForeign) {
    // An id without `#` is whole in `docKey`.
    const whole = ids.length === 0 ? [docKey] : ids.map((id) => vectorIdOf(docKey, id));
    return yield { kind: "orphaned", place, ids: whole, isForeign };
  }
  const { missing, extra } = differenceOf(pair);
  if (missing.length > 0) yield driftOf(pair, "missing", missing);
  if (extra.length > 0) yield driftOf(pair, "orphaned", extra);
}

/** Made by transforms of before: another mark of the same name. */
export function isOld({ manifest }: Note, lineage: readonly string[]): boolean {
  const nameOf = (mark: string) => mark.slice(0, mark.indexOf("@"));
  return manifest.lineage.some(
    (mark) => !lineage.includes(mark) && lineage.some((now) => nameOf(now) === nameOf(mark)),
  );
}

/** A worker is at it, or its event comes again. What was adopted from a listing, or taken back, waits for its next event. */
export function isUnderWay({ state, before, deletedAt }: Note["manifest"]): boolean {
  return state === "pending" && (before !== undefined || deletedAt !== undefined);
}
