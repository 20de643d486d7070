import type { Row } from "../database.ts";

/**
 * Something kept in memory for each vector of a namespace, by slot. Slots are dense: a removal moves the last
 * one into the gap.
 */
export interface Part {
  /** Columns of `vectors` that `set` reads. */
  readonly reads: readonly string[];
  readonly set: (slot: number, row: Row) => void;
  readonly move: (from: number, to: number) => void;
  /** Slots from `size` on are no more. */
  readonly cut: (size: number) => void;
}
