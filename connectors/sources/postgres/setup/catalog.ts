import { z } from "sluice";
import { toLike, type Entry } from "./pattern.ts";
import { rows } from "./rows.ts";
import type { Session } from "../session.ts";

/** `d`: primary key, `i`: an index, `f`: the whole row, `n`: nothing. */
const identity = z.enum(["d", "n", "f", "i"]);

const relation = z.object({
  oid: z.number(),
  schema: z.string(),
  name: z.string(),
  /** Table, partitioned table, view, materialized view, foreign table. */
  kind: z.enum(["r", "p", "v", "m", "f"]),
  /** Permanent, unlogged, temporary. */
  persistence: z.enum(["p", "u", "t"]),
  identity,
  /** The partitioned tables that it is a part of, of all levels. */
  ancestors: z.array(z.number()),
  isSystem: z.boolean(),
  /** Belongs to an extension. */
  isExtension: z.boolean(),
  isOwned: z.boolean(),
  mayUseSchema: z.boolean(),
  hasRowSecurity: z.boolean(),
});

const column = z.object({
  table: z.number(),
  name: z.string(),
  type: z.number(),
  typeName: z.string(),
  typmod: z.number(),
  isGenerated: z.boolean(),
  notNull: z.boolean(),
  isReadable: z.boolean(),
});

/** Unique, valid and of plain columns: what may identify rows. */
const index = z.object({
  table: z.number(),
  name: z.string(),
  isPrimary: z.boolean(),
  isIdentity: z.boolean(),
  /** False for a deferrable constraint, which PostgreSQL does not take as identity. */
  isImmediate: z.boolean(),
  columns: z.array(z.string()),
  /** Schemas of the operators that compare the columns. */
  operators: z.array(z.string()),
});

const partition = z.object({
  root: z.number(),
  parent: z.number(),
  oid: z.number(),
  schema: z.string(),
  name: z.string(),
  isLeaf: z.boolean(),
  isForeign: z.boolean(),
  isUnlogged: z.boolean(),
  identity,
});

const heir = z.object({
  parent: z.number(),
  oid: z.number(),
  schema: z.string(),
  name: z.string(),
});

export type Index = z.output<typeof index>;
export type CatalogColumn = z.output<typeof column>;
export type Partition = z.output<typeof partition> & { readonly indexes: readonly Index[] };
/** What the catalog says about one relation that the configuration matches. */
export type Relation = z.output<typeof relation> & {
  readonly columns: readonly CatalogColumn[];
  readonly indexes: readonly Index[];
  /** Of all levels. */
  readonly partitions: readonly Partition[];
  /** Tables that inherit from it and are no partitions. */
  readonly heirs: readonly { oid: number; schema: string; name: string }[];
};

/** Everything that `entries` match, in order of name, in five queries however much it is. */
export async function readRelations(
  session: Pick<Session, "query">,
  entries: readonly Entry[],
): Promise<readonly Relation[]> {
  const exact = entries.filter(({ isExact }) => isExact);
  const patterns = entries.filter(({ isExact }) => !isExact);
  const relations = await rows(session, relation, matched, [
    exact.map(({ schema }) => schema.text),
    exact.map(({ table }) => table.text),
    patterns.map(({ schema }) => toLike(schema)),
    patterns.map(({ table }) => toLike(table)),
  ]);
  const oids = relations.map(({ oid }) => `${oid}`);
  const partitions = await rows(session, partition, partitionsOf, [oids]);
  const all = [...new Set([...oids, ...partitions.map(({ oid }) => `${oid}`)])];
  const indexes = groupBy(await rows(session, index, uniqueIndexes, [all]), byTable);
  const columns = groupBy(await rows(session, column, columnsOf, [oids]), byTable);
  const heirs = groupBy(await rows(session, heir, heirsOf, [oids]), ({ parent }) => parent);
  const leaves = groupBy(partitions, ({ root }) => root);
  return relations.map((found) => ({
    ...found,
    columns: columns.get(found.oid) ?? [],
    indexes: indexes.get(found.oid) ?? [],
    heirs: heirs.get(found.oid) ?? [],
    partitions: (leaves.get(found.oid) ?? []).map((leaf) => ({
      ...leaf,
      indexes: indexes.get(leaf.oid) ?? [],
    })),
  }));
}

/** Relations whose name is nearly that: other case, or another schema. At most three. */
export async function similarNames(
  session: Pick<Session, "query">,
  name: string,
): Promise<readonly { schema: string; name: string }[]> {
  return rows(
    session,
    z.object({ schema: z.string(), name: z.string() }),
    `SELECT n.nspname AS schema, c.relname AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE lower(c.relname) = lower($1) AND c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
     ORDER BY 1, 2 LIMIT 3`,
    [name],
  );
}

function groupBy<K, V>(values: readonly V[], key: (value: V) => K): ReadonlyMap<K, readonly V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) {
    const group = groups.get(key(value));
    if (group) group.push(value);
    else groups.set(key(value), [value]);
  }
  return groups;
}

const byTable = ({ table }: { readonly table: number }): number => table;

const matched = `
  WITH hits AS (
    SELECT c.oid
    FROM unnest($1::text[], $2::text[]) AS wanted(schema, name)
    JOIN pg_namespace n ON n.nspname = wanted.schema::name
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name::name
    UNION
    SELECT c.oid
    FROM unnest($3::text[], $4::text[]) AS wanted(schema, name)
    JOIN pg_namespace n ON n.nspname LIKE wanted.schema
      AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname LIKE wanted.name
  )
  SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
    c.relpersistence AS persistence, c.relreplident AS identity, 
    (SELECT coalesce(json_agg(a.relid::oid::int8), '[]') FROM pg_partition_ancestors(c.oid) a
      WHERE c.relispartition AND a.relid <> c.oid) AS ancestors,
    (n.nspname ~ '^pg_' OR n.nspname = 'information_schema') AS "isSystem",
    EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
      AND d.deptype = 'e') AS "isExtension",
    pg_has_role(c.relowner, 'USAGE') AS "isOwned",
    has_schema_privilege(n.oid, 'USAGE') AS "mayUseSchema",
    row_security_active(c.oid) AS "hasRowSecurity"
  FROM hits JOIN pg_class c ON c.oid = hits.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  ORDER BY n.nspname, c.relname`;

const partitionsOf = `
  SELECT root.oid::int8 AS root, tree.parentrelid::oid::int8 AS parent, c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name,
    tree.isleaf AS "isLeaf", c.relkind = 'f' AS "isForeign", c.relpersistence = 'u' AS "isUnlogged",
    c.relreplident AS identity
  FROM pg_class root
  CROSS JOIN LATERAL pg_partition_tree(root.oid) AS tree
  JOIN pg_class c ON c.oid = tree.relid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE root.oid = ANY ($1::oid[]) AND root.relkind = 'p' AND c.oid <> root.oid
  ORDER BY n.nspname, c.relname`;

const uniqueIndexes = `
  SELECT i.indrelid::int8 AS table, c.relname AS name, i.indisprimary AS "isPrimary",
    i.indisreplident AS "isIdentity", i.indimmediate AS "isImmediate",
    (SELECT json_agg(a.attname ORDER BY key.position)
     FROM unnest(i.indkey) WITH ORDINALITY AS key(number, position)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.number
     WHERE key.position <= i.indnkeyatts) AS columns,
    (SELECT json_agg(n.nspname ORDER BY class.position)
     FROM unnest(i.indclass) WITH ORDINALITY AS class(oid, position)
     JOIN pg_opclass oc ON oc.oid = class.oid
     JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
       AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
     JOIN pg_operator o ON o.oid = ao.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace) AS operators
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = ANY ($1::oid[]) AND i.indisunique AND i.indisvalid
    AND i.indpred IS NULL AND i.indexprs IS NULL
  ORDER BY i.indnkeyatts, c.relname`;

const columnsOf = `
  SELECT a.attrelid::int8 AS table, a.attname AS name, a.atttypid::int8 AS type,
    format_type(a.atttypid, a.atttypmod) AS "typeName", a.atttypmod AS typmod, a.attgenerated <> '' AS "isGenerated",
    a.attnotnull AS "notNull", has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS "isReadable"
  FROM pg_attribute a
  WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attrelid, a.attnum`;

const heirsOf = `
  SELECT i.inhparent::int8 AS parent, c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE i.inhparent = ANY ($1::oid[]) AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'f')
  ORDER BY n.nspname, c.relname`;
