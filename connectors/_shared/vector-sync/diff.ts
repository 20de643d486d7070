import type { Manifest } from "sluice";
import type { Held } from "./held.ts";
import { isReadAs } from "./reading.ts";
import type { WantedChunk } from "./wanted.ts";

/** new: not certainly in the index; meta: only metadata differs; reembed: same text, other heading or model. */
export type WriteKind = "new" | "meta" | "reembed";

export interface Diff {
  readonly same: Manifest["chunks"];
  readonly writes: readonly { readonly kind: WriteKind; readonly chunk: WantedChunk }[];
  /** Chunk ids to delete where the document is. */
  readonly gone: readonly string[];
}

/** Compares a whole document at once with what is held of it. */
export function diff(wanted: readonly WantedChunk[], held: Held): Diff {
  const certain = new Map(held.certain.map((chunk) => [chunk.id, chunk]));
  const same: Manifest["chunks"][number][] = [];
  const writes: Diff["writes"][number][] = [];
  for (const chunk of wanted) {
    const { id, embedKey, metadataHash, order } = chunk;
    const old = certain.get(id);
    // Read from the index itself: that is as certain as a note.
    if (isReadAs(held.readings?.get(id), chunk)) same.push({ id, embedKey, metadataHash, order });
    else if (old === undefined) writes.push({ kind: "new", chunk });
    else if (old.embedKey !== embedKey) writes.push({ kind: "reembed", chunk });
    else if (old.metadataHash !== metadataHash) writes.push({ kind: "meta", chunk });
    else same.push(old);
  }
  const kept = new Set(wanted.map((chunk) => chunk.id));
  const there = new Set([...certain.keys(), ...held.uncertain]);
  return { same, writes, gone: [...there].filter((id) => !kept.has(id)) };
}
