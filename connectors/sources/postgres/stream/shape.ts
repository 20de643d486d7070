import { z } from "sluice";
import type { Relation } from "./relation.ts";
import { shown } from "../setup/identifier.ts";
import type { Table } from "../setup/tables.ts";

/** What the records of a table were made of, as far as it can change under them. Kept in state. */
export const shape = z.object({
  oid: z.number(),
  /** How the publication carries the table, see `Table`; null: it did not. */
  membership: z.string().nullable(),
  /** Names of the key's columns, in key order. */
  key: z.array(z.string()),
  /** The captured columns: name, oid of the type, typmod. */
  columns: z.array(z.tuple([z.string(), z.number(), z.number()])),
  /** Its partitions, also those that have gone since: oid and name. */
  leaves: z.array(z.tuple([z.number(), z.string()])),
});
export type Shape = z.output<typeof shape>;

export const shapePrefix = "shape/";
/** Where the shape of a table is kept, by its name as `shown` gives it. */
export const shapeKey = (table: string): string => shapePrefix + table;

/** As the catalog has it. */
export function shapeOfTable(table: Table): Shape {
  const { oid, membership, key, columns } = table;
  return {
    oid,
    membership: membership ?? null,
    key: key.map(({ name }) => name),
    columns: columns.map(({ name, type, typmod }) => [name, type, typmod]),
    leaves: leavesOf(table),
  };
}

function leavesOf({ partitions }: Table): Shape["leaves"] {
  return partitions.flatMap((one) => (one.isLeaf ? [[one.oid, shown(one)]] : []));
}

/** As the stream has it, which tells nothing of publication and partitions. */
export function shapeOfRelation(oid: number, relation: Relation, known: Shape): Shape {
  return {
    ...known,
    oid,
    key: relation.keyAt.map((at) => relation.columns[at]?.name ?? ""),
    columns: relation.columns.map(({ name, type, typmod }) => [name, type, typmod]),
  };
}

/** Columns that are new, or of another type, or were called otherwise. */
export function changedColumns(before: Shape, now: Shape): readonly string[] {
  return now.columns.flatMap(([name, type, typmod]) =>
    before.columns.some((old) => old[0] === name && old[1] === type && old[2] === typmod)
      ? []
      : [name],
  );
}

/** Their typmod is a largest length, which changes no text. */
const unpadded: ReadonlySet<number> = new Set([1043, 1562]); // varchar, varbit

/** Whether the same row may have another subject. */
export function isOtherKey(before: Shape, now: Shape): boolean {
  if (before.key.length !== now.key.length) return true;
  return now.key.some((name, at) => {
    if (before.key[at] !== name) return true;
    const [old, column] = [before, now].map(({ columns }) => columns.find(([one]) => one === name));
    if (!old || !column || old[1] !== column[1]) return true;
    return old[2] !== column[2] && !unpadded.has(column[1]);
  });
}

/** The partitions that a table has lost, and its shape with those that it has won. */
export function partitionChanges(
  before: Shape,
  table: Table,
): { readonly lost: readonly string[]; readonly now: Shape } {
  const leaves = leavesOf(table);
  const has = (list: Shape["leaves"], oid: number) => list.some(([other]) => other === oid);
  return {
    lost: before.leaves.flatMap(([oid, name]) => (has(leaves, oid) ? [] : [name])),
    now: {
      ...before,
      leaves: [...before.leaves, ...leaves.filter(([oid]) => !has(before.leaves, oid))],
    },
  };
}

/** Why a table must be read again, whose records were made of `before`; `undefined`: it need not. */
export function outdated(before: Shape, table: Table): string | undefined {
  const now = shapeOfTable(table);
  if (before.oid !== now.oid) return "it was dropped and created again";
  if (before.membership !== now.membership) return "it was out of the publication";
  return isOtherKey(before, now) ? `the key of ${shown(table)} changed` : undefined;
}
