import type { Filter, Scalar } from "../filter.ts";
import { metadataOf } from "../row.ts";
import { roomFor } from "./growing.ts";
import type { Part } from "./part.ts";

/** What one metadata field holds, for every vector of a namespace: 9 bytes each, and each text once. */
export interface Column extends Part {
  /** 1 for the slots that a condition on this field selects, 0 for the others. */
  readonly select: (condition: Condition, size: number) => Uint8Array;
  /** It remembers many more texts than its vectors hold: better made anew. */
  readonly worn: (size: number) => boolean;
}

export type Condition = Exclude<Filter, { op: "and" | "or" | "not" }>;

const [missing, number, text, flag, list] = [0, 1, 2, 3, 4];

export function openColumn(field: string): Column {
  let kinds = new Uint8Array(0);
  /** A number as it is, a boolean as 0 or 1, a text as its code. */
  let values = new Float64Array(0);
  const lists = new Map<number, readonly number[]>();
  const codes = new Map<string, number>();

  const codeOf = (value: string): number => {
    const known = codes.get(value);
    if (known !== undefined) return known;
    codes.set(value, codes.size);
    return codes.size - 1;
  };
  const put = (slot: number, kind: number, value: number): void => {
    // A field that few vectors have costs nothing for those behind the last of them.
    if (kind === missing && slot >= kinds.length) return;
    kinds = roomFor(kinds, slot);
    values = roomFor(values, slot);
    kinds[slot] = kind;
    values[slot] = value;
    lists.delete(slot);
  };

  const mark = (selected: Uint8Array, kind: number, wanted: ReadonlySet<number>): void => {
    if (wanted.size === 0) return;
    const [only] = wanted;
    for (let slot = 0; slot < selected.length; slot++) {
      if (kinds[slot] !== kind) continue;
      const value = values[slot] ?? 0;
      if (wanted.size === 1 ? value === only : wanted.has(value)) selected[slot] = 1;
    }
  };

  const selectAny = (wanted: readonly Scalar[], size: number): Uint8Array => {
    const selected = new Uint8Array(size);
    const texts = new Set<number>();
    const numbers = new Set<number>();
    const flags = new Set<number>();
    for (const value of wanted) {
      if (typeof value === "number") numbers.add(value);
      else if (typeof value === "boolean") flags.add(Number(value));
      else {
        const code = codes.get(value);
        if (code !== undefined) texts.add(code);
      }
    }
    for (const [kind, held] of [
      [number, numbers] as const,
      [text, texts] as const,
      [flag, flags] as const,
    ])
      mark(selected, kind, held);
    for (const [slot, held] of lists)
      if (slot < size) selected[slot] = Number(held.some((code) => texts.has(code)));
    return selected;
  };

  return {
    reads: ["metadata"],
    set: (slot, row) => {
      const metadata = metadataOf(row);
      // Not `in`: a field may be called `constructor`.
      const value = metadata && Object.hasOwn(metadata, field) ? metadata[field] : undefined;
      if (typeof value === "number") put(slot, number, value);
      else if (typeof value === "boolean") put(slot, flag, Number(value));
      else if (typeof value === "string") put(slot, text, codeOf(value));
      else if (Array.isArray(value)) {
        put(slot, list, 0);
        lists.set(
          slot,
          value.map((item) => codeOf(String(item))),
        );
      } else put(slot, missing, 0);
    },
    move: (from, to) => {
      const held = lists.get(from);
      put(to, kinds[from] ?? missing, values[from] ?? 0);
      if (held !== undefined) lists.set(to, held);
    },
    cut: (size) => {
      for (const slot of lists.keys()) if (slot >= size) lists.delete(slot);
    },
    worn: (size) => codes.size > 2 * size + 1_000,
    select: (condition, size) => {
      if (condition.op === "any") return selectAny(condition.values, size);
      const selected = new Uint8Array(size);
      for (let slot = 0; slot < size; slot++) {
        const kind = kinds[slot] ?? missing;
        const holds =
          condition.op === "exists"
            ? kind !== missing
            : kind === number && compare(condition.op, values[slot] ?? 0, condition.value);
        selected[slot] = Number(holds);
      }
      return selected;
    },
  };
}

function compare(op: "$gt" | "$gte" | "$lt" | "$lte", value: number, bound: number): boolean {
  switch (op) {
    case "$gt":
      return value > bound;
    case "$gte":
      return value >= bound;
    case "$lt":
      return value < bound;
    case "$lte":
      return value <= bound;
  }
}
