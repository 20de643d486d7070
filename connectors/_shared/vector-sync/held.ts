import type { Manifest } from "sluice";
import { isReadAs, type Reading } from "./reading.ts";

/** What is known of a document before a change of it: its notes, judged by how far they can be trusted. */
export interface Held {
  readonly docKey: string;
  /** The state entry's revision; 0 = absent. */
  readonly revision: number;
  readonly manifest: Manifest | undefined;
  /** Where the document shall be; a delete leaves it where it is. */
  readonly namespace: string;
  /** The epoch that what is written now is noted under. */
  readonly epoch: number;
  /** The notes are older than a finding that the index differs from them. */
  readonly isDoubtful: boolean;
  /** Chunks that are in `namespace` as their notes say. */
  readonly certain: Manifest["chunks"];
  /** Chunk ids that may be in `namespace` besides. */
  readonly uncertain: readonly string[];
  /** Chunk ids that may be in other namespaces. */
  readonly elsewhere: readonly { readonly namespace: string; readonly ids: readonly string[] }[];
  /** What the index holds of it in `namespace`, by chunk id, where that was read for this. */
  readonly readings?: ReadonlyMap<string, Reading>;
}

/** What a finding that the index differs means for older notes. */
export type Trust = "whole" | "nothing-is-there" | "doubtful";

/** Judges notes. What is doubtful is to be inspected before it is used. */
export function toHeld(
  docKey: string,
  entry: { readonly revision: number; readonly manifest: Manifest | undefined },
  place: { readonly namespace: string; readonly epoch: number; readonly trust: Trust },
): Held {
  const { revision, manifest } = entry;
  const { namespace, epoch, trust } = place;
  const own = { docKey, revision, manifest, namespace, epoch, isDoubtful: trust !== "whole" };
  if (manifest === undefined) return { ...own, certain: [], uncertain: [], elsewhere: [] };
  const { chunks, pending = [], elsewhere = [] } = manifest;
  const ids = chunks.map(({ id }) => id);
  if (manifest.namespace === namespace)
    return trust === "whole"
      ? { ...own, certain: chunks, uncertain: pending, elsewhere }
      : { ...own, certain: [], uncertain: [...ids, ...pending], elsewhere };
  // It moves; what an earlier move left in the namespace it comes (back) to is uncertain there.
  const here = elsewhere.find((place) => place.namespace === namespace)?.ids ?? [];
  const others = elsewhere.filter((place) => place.namespace !== namespace);
  const left = { namespace: manifest.namespace, ids: [...ids, ...pending] };
  return {
    ...own,
    certain: [],
    uncertain: here,
    elsewhere: left.ids.length > 0 ? [left, ...others] : others,
  };
}

/** What is held once the index was read: `found` are the document's chunks in its namespace. */
export function inspected(held: Held, readings: ReadonlyMap<string, Reading>): Held {
  const { manifest, namespace } = held;
  const suspect = manifest?.namespace === namespace ? (manifest.suspect ?? []) : [];
  // Its metadata says that it is right, and it is not.
  const found = new Map([...readings].filter(([id]) => !suspect.includes(id)));
  const noted = manifest?.namespace === namespace ? manifest.chunks : [];
  const certain = noted.filter((chunk) => isReadAs(found.get(chunk.id), chunk));
  const sure = new Set(certain.map(({ id }) => id));
  const uncertain = [...new Set([...held.uncertain, ...readings.keys()])];
  return {
    ...held,
    certain,
    uncertain: uncertain.filter((id) => !sure.has(id)),
    readings: found,
  };
}
