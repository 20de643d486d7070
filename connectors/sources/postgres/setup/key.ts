import type { Finding } from "sluice";
import type { Relation } from "./catalog.ts";
import type { TableOptions } from "../config.ts";
import { advised, failed, isError, warned } from "./findings.ts";
import { qualified, quoted, quotedList, shown } from "./identifier.ts";
import { covers, identityOf, isNotNull, toCover, toFull } from "./identity.ts";
import { deferrable, withoutKey } from "./no-key.ts";

export interface Resolved {
  /** Column names in key order. Empty for an `insertOnly` table without a key. */
  readonly key: readonly string[];
  readonly findings: readonly Finding[];
}

/**
 * Which columns identify a record: the configured ones, else the primary key where updates and
 * deletes carry it, else the identity index. Findings of severity error: there is no such key.
 */
export function resolveKey(relation: Relation, options: TableOptions): Resolved {
  const found = options.key
    ? configuredKey(relation, options.key, options.insertOnly)
    : naturalKey(relation, options.insertOnly);
  if (found.findings.some(isError) || options.insertOnly) return found;
  return { ...found, findings: [...found.findings, ...partitionIdentity(relation, found.key)] };
}

function naturalKey(relation: Relation, insertOnly: boolean): Resolved {
  const primary = relation.indexes.find(({ isPrimary }) => isPrimary);
  if (insertOnly) return { key: primary?.columns ?? [], findings: [] };
  const identity = identityOf(relation);
  if (primary && covers(identity, primary.columns))
    return {
      key: primary.columns,
      findings: primary.isImmediate ? [] : [deferrable(relation, primary)],
    };
  if (identity !== "all" && identity.length > 0) return { key: identity, findings: [] };
  return { key: [], findings: [withoutKey(relation)] };
}

function configuredKey(relation: Relation, key: readonly string[], insertOnly: boolean): Resolved {
  const name = shown(relation);
  const columns = key.map((column) => relation.columns.find((other) => other.name === column));
  const missing = key.filter((_, at) => columns[at] === undefined);
  if (missing.length > 0)
    return {
      key,
      findings: [
        advised(
          failed(
            "postgres.unknown-column",
            `${name} has no column ${quotedList(missing)} for its \`key\`.`,
          ),
          `Name in \`key\` columns of the table: ${quotedList(relation.columns.map((column) => column.name))}.`,
        ),
      ],
    };
  const findings: Finding[] = [];
  const nullable = columns.flatMap((column) => (column && !column.notNull ? [column.name] : []));
  if (!relation.indexes.some((index) => covers(key, index.columns)))
    findings.push(
      failed(
        "postgres.key-not-unique",
        `nothing makes the \`key\` (${quotedList(key)}) of ${name} unique: rows would take each other's place.`,
        `CREATE UNIQUE INDEX ON ${qualified(relation)} (${quotedList(key)});`,
      ),
    );
  if (!insertOnly && !covers(identityOf(relation), key))
    findings.push(
      failed(
        "postgres.key-outside-identity",
        `deletes of ${name} do not carry its \`key\` (${quotedList(key)}), which is outside the replica identity.`,
        relation.kind === "p"
          ? toFull(relation)
          : toCover(relation, key, (column) => isNotNull(relation, column)),
      ),
    );
  if (nullable.length > 0)
    findings.push(
      warned(
        "postgres.key-null",
        `a row of ${name} with a NULL in its \`key\` (${quotedList(nullable)}) is left out, and counted.`,
        `ALTER TABLE ${qualified(relation)} ${nullable.map((column) => `ALTER COLUMN ${quoted(column)} SET NOT NULL`).join(", ")};`,
      ),
    );
  return { key, findings };
}

/**
 * PostgreSQL takes the old row by the leaf's identity but marks it by the root's: under a FULL root a
 * leaf that is not sends NULLs for what it does not know, and one without any refuses updates.
 */
function partitionIdentity(relation: Relation, key: readonly string[]): readonly Finding[] {
  const isFull = relation.identity === "f";
  const bad = relation.partitions.filter(
    (leaf) =>
      leaf.isLeaf &&
      !leaf.isForeign &&
      (isFull ? leaf.identity !== "f" : !covers(identityOf(leaf), key)),
  );
  if (bad.length === 0) return [];
  const mend = isFull
    ? toFull(relation)
    : bad.map((leaf) => toCover(leaf, key, (column) => isNotNull(relation, column))).join(" ");
  return [
    failed(
      "postgres.partition-identity",
      `${bad.length} of the partitions of ${shown(relation)} have another replica identity than it, the first ${shown(bad[0] ?? relation)}.`,
      mend,
    ),
  ];
}
