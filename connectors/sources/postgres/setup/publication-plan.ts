import { listed } from "./access.ts";
import type { Member, PublicationFacts } from "./publication-facts.ts";
import { addSql, columnList, createSql, dropSql, setSql, type Wish } from "./publication-sql.ts";
import type { Table } from "./tables.ts";

/** One thing in which a publication is not as the configuration wants it, and the SQL that mends it. */
export interface Difference {
  readonly code:
    | "postgres.publication-missing"
    | "postgres.publication-operations"
    | "postgres.publication-not-via-root"
    | "postgres.publication-lacks-table"
    | "postgres.publication-filter"
    | "postgres.publication-columns"
    | "postgres.publication-extra-table"
    | "postgres.publication-breaks-updates"
    | "postgres.publication-hides-partition";
  /** Follows the publication's name in a sentence. */
  readonly what: string;
  readonly statements: readonly string[];
  /** The remedy where it is no SQL. */
  readonly advice?: string;
  /** Tables whose ownership the SQL needs. */
  readonly tables: readonly Table[];
  /** Works without. */
  readonly isMinor?: boolean;
  /** Takes something away, which others may use: setup does it only where the publication is its own. */
  readonly narrows?: boolean;
}

/**
 * Tables without an identity that a publication of others publishes with their updates, which makes
 * them fail. Ours has lost them as tables that it need not have.
 */
export function breaking(
  facts: PublicationFacts | undefined,
  insertOnly: readonly Table[],
): readonly Difference[] {
  if (!facts || (!facts.update && !facts.delete)) return [];
  const broken = insertOnly.filter(
    (table) => table.identityColumns.length === 0 && coverageOf(facts, table).isCovered,
  );
  if (broken.length === 0) return [];
  const direct = broken.filter(({ oid }) => facts.direct.some((one) => one.oid === oid));
  return [
    {
      code: "postgres.publication-breaks-updates",
      what: `publishes updates of ${listed(broken)} without an identity, which makes them fail`,
      statements: direct.length > 0 ? [dropSql(facts.name, direct)] : [],
      advice: "Set another `publication`.",
      tables: [],
      narrows: true,
    },
  ];
}

/** Partitions whose rows a publication of others carries under the name of their root. */
function hiding(facts: PublicationFacts, tables: readonly Table[]): readonly Difference[] {
  const members = new Set(facts.isViaRoot ? facts.members.map(({ oid }) => oid) : []);
  const hidden = tables.filter(({ ancestors }) => ancestors.some((oid) => members.has(oid)));
  if (hidden.length === 0) return [];
  return [
    {
      code: "postgres.publication-hides-partition",
      what: `publishes ${listed(hidden)} under the name of its root`,
      statements: [],
      advice: "Name the root in `tables`, or set another `publication`.",
      tables: [],
      narrows: true,
    },
  ];
}

/** How a table is published now. */
export interface Coverage {
  readonly table: Table;
  /** The table itself, or, where it is published by its partitions, those of any level. */
  readonly members: readonly Member[];
  readonly isCovered: boolean;
  /** The filter in force is the configured one. */
  readonly isFiltered: boolean;
}

/** Whether and how `facts` publishes all rows of a table. */
export function coverageOf(facts: PublicationFacts, table: Table): Omit<Coverage, "isFiltered"> {
  const own = facts.members.filter(({ oid }) => oid === table.oid);
  if (own.length > 0) return { table, members: own, isCovered: true };
  const parts = new Map(table.partitions.map((part) => [part.oid, part]));
  const members = facts.members.filter(({ oid }) => parts.has(oid));
  const isPublished = ({ oid, parent }: Table["partitions"][number]): boolean => {
    const above = parts.get(parent);
    return (
      members.some((member) => member.oid === oid) || (above !== undefined && isPublished(above))
    );
  };
  const leaves = table.partitions.filter(({ isLeaf }) => isLeaf);
  const isDirect = facts.direct.some(({ oid }) => oid === table.oid);
  return {
    table,
    members,
    isCovered: isDirect || (leaves.length > 0 && leaves.every(isPublished)),
  };
}

/** What to run, in this order, so that the publication is as wished. `isOurs`: nobody else needs it. */
export function differences(
  wish: Wish,
  facts: PublicationFacts | undefined,
  coverage: readonly Coverage[],
  isOurs: boolean,
): readonly Difference[] {
  const { name, tables } = wish;
  if (!facts)
    return tables.length === 0
      ? []
      : [
          {
            code: "postgres.publication-missing",
            what: "does not exist",
            statements: [createSql(wish)],
            tables,
          },
        ];
  const lacking = coverage
    // One that carries all lacks none: the table was made after the publication was read.
    .filter(({ isCovered, isFiltered }) => !isCovered && isFiltered && !facts.isForAllTables)
    .map(({ table }) => table);
  return [
    ...ofOptions(wish, facts, isOurs),
    ...(isOurs ? ofExtras(name, facts, tables) : hiding(facts, tables)),
    ...coverage.flatMap((one) => ofTable(wish, facts, one, isOurs)),
    ...(lacking.length === 0
      ? []
      : [
          {
            code: "postgres.publication-lacks-table" as const,
            what: `lacks ${listed(lacking)}`,
            statements: [addSql(wish, lacking)],
            tables: lacking,
          },
        ]),
  ];
}

function ofOptions(wish: Wish, facts: PublicationFacts, isOurs: boolean): readonly Difference[] {
  const { name, operations, tables } = wish;
  const found: Difference[] = [];
  const unpublished = operations.filter((operation) => !facts[operation]);
  const needIdentity = (["update", "delete"] as const).filter(
    (operation) => facts[operation] && !operations.includes(operation),
  );
  const isBreaking = tables.some(({ identityColumns }) => identityColumns.length === 0);
  const set = setSql(name, "publish", `'${operations.join(", ")}'`);
  if (unpublished.length > 0)
    found.push({
      code: "postgres.publication-operations",
      what: `does not publish ${unpublished.join(", ")}`,
      statements: [set],
      tables: [],
    });
  else if (needIdentity.length > 0 && (isOurs || isBreaking))
    found.push({
      code: "postgres.publication-operations",
      what: `publishes ${needIdentity.join(", ")} of tables that have no identity, which makes them fail`,
      statements: [set],
      tables: [],
      narrows: true,
    });
  const partitioned = tables.filter(({ kind }) => kind === "partitioned");
  if (!facts.isViaRoot && partitioned.length > 0)
    found.push({
      code: "postgres.publication-not-via-root",
      what: "publishes partitions under their own names",
      statements: [setSql(name, "publish_via_partition_root", "true")],
      tables: [],
      // Without it a partitioned table can have no filter.
      isMinor: partitioned.every(({ where }) => where === undefined),
      // Others would see their partitions go.
      narrows: true,
    });
  return found;
}

function ofExtras(
  name: string,
  facts: PublicationFacts,
  tables: readonly Table[],
): readonly Difference[] {
  const wanted = new Set(tables.map(({ oid }) => oid));
  const extra = facts.direct.filter(({ oid }) => !wanted.has(oid));
  if (extra.length === 0) return [];
  return [
    {
      code: "postgres.publication-extra-table",
      what: `publishes ${listed(extra)}, which is not captured`,
      statements: [dropSql(name, extra)],
      tables: [],
      narrows: true,
    },
  ];
}

function ofTable(
  wish: Wish,
  facts: PublicationFacts,
  { table, members, isCovered, isFiltered }: Coverage,
  isOurs: boolean,
): readonly Difference[] {
  const isDirect = facts.direct.some(({ oid }) => oid === table.oid);
  const special = members.filter(
    ({ oid, filter, hasList }) => oid !== table.oid && (filter !== null || hasList),
  );
  const removed = [...(isDirect ? [table] : []), ...special];
  const common = {
    statements: [
      ...(removed.length > 0 ? [dropSql(wish.name, removed)] : []),
      addSql(wish, [table]),
    ],
    tables: [table],
    narrows: true,
  };
  if (!isFiltered) {
    const is = [...new Set(members.map(({ filter }) => filter ?? "none"))].join(", ");
    const what = `has the row filter ${is} on ${listed([table])} instead of ${table.where ?? "none"}`;
    return [{ code: "postgres.publication-filter", what, ...common }];
  }
  if (!isCovered || hasNeededColumns(table, members, isOurs)) return [];
  const what = `publishes the wrong columns of ${listed([table])}`;
  return [{ code: "postgres.publication-columns", what, ...common }];
}

/** Too few lose the key or make the application's updates fail. Too many cost, so our own has none. */
function hasNeededColumns(table: Table, members: readonly Member[], isOurs: boolean): boolean {
  const list = columnList(table);
  const { insertOnly, identityColumns } = table;
  if (!insertOnly && identityColumns === "all" && members.some(({ hasList }) => hasList))
    return false;
  const isAdopted = !isOurs && !table.hasColumnList;
  const captured = (isAdopted ? table.key : table.columns).map(({ name }) => name);
  const ofIdentity = insertOnly || identityColumns === "all" ? [] : identityColumns;
  const needed = new Set([...captured, ...ofIdentity]);
  return members.every(({ columns, hasList }) => {
    if (!columns) return true;
    const published = new Set(columns);
    if ([...needed].some((name) => !published.has(name))) return false;
    if (!isOurs) return true;
    return list ? published.size === needed.size : !hasList;
  });
}
