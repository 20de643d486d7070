import type { Manifest } from "sluice";
import type { Held } from "./manifest.ts";
import type { WantedChunk } from "./wanted.ts";

/** new: not certainly in the index; meta: only metadata differs; reembed: same text, other heading or model. */
export type WriteKind = "new" | "meta" | "reembed";

export interface Diff {
  readonly same: Manifest["chunks"];
  readonly writes: readonly { readonly kind: WriteKind; readonly chunk: WantedChunk }[];
  /** Chunk ids to delete. */
  readonly gone: readonly string[];
}

/** Compares a whole document at once with what its manifest says is there. */
export function diff(wanted: readonly WantedChunk[], held: Held): Diff {
  const chunks = held.manifest?.chunks ?? [];
  const certain = new Map(chunks.map((chunk) => [chunk.id, chunk]));
  const same: Manifest["chunks"][number][] = [];
  const writes: Diff["writes"][number][] = [];
  for (const chunk of wanted) {
    const old = certain.get(chunk.id);
    if (old === undefined) writes.push({ kind: "new", chunk });
    else if (old.embedKey !== chunk.embedKey) writes.push({ kind: "reembed", chunk });
    else if (old.metadataHash !== chunk.metadataHash) writes.push({ kind: "meta", chunk });
    else same.push(old);
  }
  const kept = new Set(wanted.map((chunk) => chunk.id));
  const there = new Set([...certain.keys(), ...held.uncertain]);
  return { same, writes, gone: [...there].filter((id) => !kept.has(id)) };
}
