import type { IndexRow } from "../call.ts";
import type { Database } from "../database.ts";
import { fieldsOf, type Filter } from "../filter.ts";
import type { Namespace } from "../namespace.ts";
import type { Arena } from "./arena.ts";
import { openCodes, type Codes } from "./codes.ts";
import { openColumn, type Column } from "./column.ts";
import { roomFor } from "./growing.ts";
import type { Part } from "./part.ts";
import { openSparseRows, type SparseRows } from "./sparse-rows.ts";

/**
 * What memory holds of a namespace so that it can be searched: made at the first search that needs it, brought
 * up to date from the file at each later one, whichever process wrote. The file alone is the truth.
 */
export interface Mirror {
  readonly size: () => number;
  /** Row number of the vector in a slot. */
  readonly number: (slot: number) => number;
  /** Reads what changed. Call it, in the transaction that read `home`, before anything else. */
  readonly follow: (database: Database, home: Namespace) => void;
  readonly codes: (database: Database) => Codes;
  readonly sparse: (database: Database) => SparseRows;
  /** 1 for the slots that a filter selects. */
  readonly select: (database: Database, filter: Filter) => Uint8Array;
  /** Numbers of the rows that a filter selects. */
  readonly matching: (database: Database, filter: Filter) => readonly number[];
  /** Room for a number a slot, twice, to be written before it is read; its length may be more than `size`. */
  readonly scratch: () => { readonly low: Float64Array; readonly high: Float64Array };
  /** Gives its memory back; it starts empty again. */
  readonly free: () => void;
}

/** Before the first change: vectors of files older than changes have number 0. */
const nothing = -1;
const rowsAtOnce = 1_000;
const maxColumns = 64;

export function openMirror(arena: Arena, index: IndexRow): Mirror {
  let change = nothing;
  const numbers: number[] = [];
  const slots = new Map<number, number>();
  const columns = new Map<string, Column>();
  let codes: Codes | undefined;
  let sparse: SparseRows | undefined;
  let low = new Float64Array(0);
  let high = new Float64Array(0);

  const parts = (): readonly Part[] => [
    ...(codes ? [codes] : []),
    ...(sparse ? [sparse] : []),
    ...columns.values(),
  ];

  const drop = (gone: readonly number[]): void => {
    for (const number of gone) {
      const slot = slots.get(number) ?? 0;
      const last = numbers.length - 1;
      const moved = numbers.pop() ?? 0;
      slots.delete(number);
      if (slot === last) continue;
      numbers[slot] = moved;
      slots.set(moved, slot);
      for (const part of parts()) part.move(last, slot);
    }
    for (const part of parts()) part.cut(numbers.length);
  };

  const fill = (database: Database, filled: readonly Part[], wanted: readonly number[]): void => {
    if (filled.length === 0) return;
    const names = new Set(filled.flatMap((part) => part.reads));
    const sql = `SELECT number, ${[...names].join(", ")} FROM vectors WHERE number IN (SELECT value FROM json_each(?))`;
    for (let at = 0; at < wanted.length; at += rowsAtOnce) {
      const some = JSON.stringify(wanted.slice(at, at + rowsAtOnce));
      for (const row of database.rows(sql, [some])) {
        const slot = slots.get(Number(row["number"]));
        if (slot !== undefined) for (const part of filled) part.set(slot, row);
      }
    }
  };

  const filled = <T extends Part>(database: Database, part: T): T => {
    try {
      fill(database, [part], numbers);
    } catch (error) {
      part.cut(0);
      throw error;
    }
    return part;
  };

  const prepare = (database: Database, fields: ReadonlySet<string>): void => {
    const made = new Map<string, Column>();
    for (const field of fields) {
      const known = columns.get(field);
      columns.delete(field); // to the end: the first is the one not used for longest
      if (known?.worn(numbers.length) === false) columns.set(field, known);
      else made.set(field, openColumn(field));
    }
    fill(database, [...made.values()], numbers);
    for (const [field, column] of made) columns.set(field, column);
    for (const field of columns.keys()) {
      if (columns.size <= Math.max(maxColumns, fields.size)) break;
      columns.delete(field);
    }
  };

  const evaluate = (filter: Filter): Uint8Array => {
    const size = numbers.length;
    switch (filter.op) {
      case "and":
      case "or": {
        const both = filter.op === "and";
        const selected = new Uint8Array(size).fill(both ? 1 : 0);
        for (const part of filter.of) {
          const other = evaluate(part);
          for (let slot = 0; slot < size; slot++) {
            const [a, b] = [selected[slot] ?? 0, other[slot] ?? 0];
            selected[slot] = both ? a & b : a | b;
          }
        }
        return selected;
      }
      case "not": {
        const selected = evaluate(filter.of);
        for (let slot = 0; slot < size; slot++) selected[slot] = 1 - (selected[slot] ?? 0);
        return selected;
      }
      case "any":
      case "exists":
      case "$gt":
      case "$gte":
      case "$lt":
      case "$lte":
        return columns.get(filter.field)?.select(filter, size) ?? new Uint8Array(size);
    }
  };

  const select = (database: Database, filter: Filter): Uint8Array => {
    prepare(database, fieldsOf(filter));
    return evaluate(filter);
  };

  return {
    size: () => numbers.length,
    number: (slot) => numbers[slot] ?? 0,
    follow: (database, home) => {
      if (home.change === change) return;
      if (change !== nothing && home.removed > change) {
        const left = new Set(numbersSince(database, home.id, nothing));
        drop(numbers.filter((number) => !left.has(number)));
      }
      const changed = numbersSince(database, home.id, change);
      for (const number of changed)
        if (!slots.has(number)) slots.set(number, numbers.push(number) - 1);
      fill(database, parts(), changed);
      change = home.change;
    },
    codes: (database) => {
      codes ??= filled(database, openCodes(arena, index.dimension, index.metric));
      return codes;
    },
    sparse: (database) => {
      sparse ??= filled(database, openSparseRows());
      return sparse;
    },
    select,
    matching: (database, filter) => {
      const selected = select(database, filter);
      return numbers.filter((_number, slot) => selected[slot] === 1);
    },
    scratch: () => {
      low = roomFor(low, numbers.length);
      high = roomFor(high, numbers.length);
      return { low, high };
    },
    free: () => {
      codes?.free();
      codes = undefined;
      sparse = undefined;
      columns.clear();
      slots.clear();
      numbers.length = 0;
      change = nothing;
    },
  };
}

/** As one JSON text: ten times as fast as a row each. */
function numbersSince(database: Database, namespace: number, change: number): number[] {
  const [row] = database.rows(
    "SELECT json_group_array(number) numbers FROM vectors WHERE namespace = ? AND change > ?",
    [namespace, change],
  );
  const text = row?.["numbers"];
  return typeof text === "string" ? (JSON.parse(text) as number[]) : [];
}
