import type { Index, Partition, Relation } from "./catalog.ts";
import { qualified, quoted } from "./identifier.ts";

/** The columns that an update or delete carries of the old row. */
export type Identity = "all" | readonly string[];

/** What PostgreSQL takes as replica identity: an index that is gone or deferrable is none. */
export function identityOf(relation: Pick<Relation | Partition, "identity" | "indexes">): Identity {
  const named = (test: (index: Index) => boolean) =>
    relation.indexes.find((index) => index.isImmediate && test(index))?.columns ?? [];
  switch (relation.identity) {
    case "f":
      return "all";
    case "d":
      return named(({ isPrimary }) => isPrimary);
    case "i":
      return named(({ isIdentity }) => isIdentity);
    case "n":
      return [];
  }
}

export function covers(identity: Identity, columns: readonly string[]): boolean {
  return identity === "all" || columns.every((column) => identity.includes(column));
}

/** What every row of a table is sure to carry, whichever partition it lies in. */
export function sharedIdentity(relation: Relation): Identity {
  const identities = [relation, ...relation.partitions.filter(({ isLeaf }) => isLeaf)].map(
    identityOf,
  );
  const named = identities.filter((identity) => identity !== "all");
  const [first, ...others] = named;
  if (first === undefined) return "all";
  return first.filter((column) => others.every((other) => other.includes(column)));
}

/** All columns of any identity: a column list that leaves one out breaks the application's updates. */
export function neededColumns(relation: Relation): Identity {
  const identities = [relation, ...relation.partitions.filter(({ isLeaf }) => isLeaf)].map(
    identityOf,
  );
  const named = identities.filter((identity) => identity !== "all");
  return named.length < identities.length ? "all" : [...new Set(named.flat())];
}

/** SQL that makes the whole row the identity. A partitioned table does not hand it down. */
export function toFull(relation: Relation): string {
  return [relation, ...relation.partitions.filter(({ isLeaf, isForeign }) => isLeaf && !isForeign)]
    .filter(({ identity }) => identity !== "f")
    .map((table) => `ALTER TABLE ${qualified(table)} REPLICA IDENTITY FULL;`)
    .join(" ");
}

/** SQL that gives a relation the cheapest identity that covers `key`. */
export function toCover(
  table: { readonly schema: string; readonly name: string; readonly indexes: readonly Index[] },
  key: readonly string[],
  isNotNull: (column: string) => boolean,
): string {
  const usable = table.indexes.filter(
    ({ isImmediate, columns }) => isImmediate && covers(columns, key) && columns.every(isNotNull),
  );
  const [index] = usable;
  const identity = usable.some(({ isPrimary }) => isPrimary)
    ? "DEFAULT"
    : index
      ? `USING INDEX ${quoted(index.name)}`
      : "FULL";
  return `ALTER TABLE ${qualified(table)} REPLICA IDENTITY ${identity};`;
}

export function isNotNull(relation: Relation, name: string): boolean {
  return relation.columns.some((column) => column.name === name && column.notNull);
}
