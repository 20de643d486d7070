import type { Finding } from "sluice";
import type { Index, Relation } from "./catalog.ts";
import { advised, failed, warned } from "./findings.ts";
import { qualified, quoted, quotedList, shown } from "./identifier.ts";
import { covers, identityOf, isNotNull, toCover, toFull } from "./identity.ts";

/** Why a table has no key that its deletes carry, and the SQL that gives it one. */
export function withoutKey(relation: Relation): Finding {
  const name = shown(relation);
  const primary = relation.indexes.find(({ isPrimary }) => isPrimary);
  if (primary && !primary.isImmediate)
    return failed(
      "postgres.key-deferrable",
      `the primary key of ${name} is deferrable, which identifies no row for replication.`,
      recreated(relation, primary),
    );
  // Publishing it would make the application's own updates and deletes fail.
  const what =
    relation.identity === "f"
      ? `${name} has no primary key, and its \`key\` is not configured.`
      : `${name} has no replica identity: published, its updates and deletes would fail.`;
  const otherwise = `${what} A \`key\` with REPLICA IDENTITY FULL would do too, or \`insertOnly\` if rows are only ever added.`;
  const index =
    primary ??
    relation.indexes.find(
      ({ isImmediate, columns }) =>
        isImmediate && columns.every((column) => isNotNull(relation, column)),
    );
  if (index) return failed("postgres.no-key", otherwise, identified(relation, index));
  // Theirs must hold the partition key, and identity columns came late to them.
  if (relation.kind === "p")
    return advised(
      failed("postgres.no-key", what),
      `Give it a primary key; or set its \`key\` to unique columns and run: ${toFull(relation)}`,
    );
  const column = relation.columns.some(({ name: taken }) => taken === "id") ? "sluice_id" : "id";
  return failed(
    "postgres.no-key",
    otherwise,
    `ALTER TABLE ${qualified(relation)} ADD COLUMN ${column} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;`,
  );
}

/** A deferrable primary key under REPLICA IDENTITY FULL works, but for rows that swap keys. */
export function deferrable(relation: Relation, primary: Index): Finding {
  return warned(
    "postgres.key-deferrable",
    `the primary key of ${shown(relation)} is deferrable: after a transaction in which two of its rows had one key for a moment, it is read again.`,
    recreated(relation, primary),
  );
}

function recreated(relation: Relation, { name, columns }: Index): string {
  const constraint = quoted(name);
  const key = `ALTER TABLE ${qualified(relation)} DROP CONSTRAINT ${constraint}, ADD CONSTRAINT ${constraint} PRIMARY KEY (${quotedList(columns)});`;
  return relation.identity === "d" || relation.identity === "f"
    ? key
    : `${key} ALTER TABLE ${qualified(relation)} REPLICA IDENTITY DEFAULT;`;
}

function identified(relation: Relation, { columns }: Index): string {
  const leaves = relation.partitions.filter(
    (leaf) => leaf.isLeaf && !leaf.isForeign && !covers(identityOf(leaf), columns),
  );
  return [relation, ...leaves]
    .map((table) => toCover(table, columns, (column) => isNotNull(relation, column)))
    .join(" ");
}
