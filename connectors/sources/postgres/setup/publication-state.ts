import { isSameFilter } from "./filter.ts";
import type { Names } from "./names.ts";
import { mark, readPublications, type PublicationFacts } from "./publication-facts.ts";
import {
  breaking,
  coverageOf,
  differences,
  type Coverage,
  type Difference,
} from "./publication-plan.ts";
import type { Operation, Wish } from "./publication-sql.ts";
import type { Session } from "../session.ts";
import type { Table } from "./tables.ts";

/** One of the source's publications: as it is, as it should be, and the difference. */
export interface PublicationState {
  readonly wish: Wish;
  readonly facts: PublicationFacts | undefined;
  /** Setup made it: it serves nobody else. */
  readonly isOurs: boolean;
  /** The tables as they are published: with a foreign publication's filter and columns. */
  readonly tables: readonly Table[];
  /** Those of them whose filter is the publication's own. */
  readonly adopted: readonly Table[];
  readonly differences: readonly Difference[];
}

const operations: Readonly<Record<"main" | "inserts", readonly Operation[]>> = {
  main: ["insert", "update", "delete", "truncate"],
  inserts: ["insert", "truncate"],
};

/** The state of the publication of all tables, and of that of the `insertOnly` ones. */
export async function publicationStates(
  session: Pick<Session, "query" | "serverVersion">,
  names: Names,
  tables: readonly Table[],
): Promise<readonly PublicationState[]> {
  const found = await readPublications(session, names);
  const states: PublicationState[] = [];
  for (const [kind, name] of [
    ["main", names.publication],
    ["inserts", names.inserts],
  ] as const) {
    const wish: Wish = {
      name,
      operations: operations[kind],
      tables: tables.filter(({ insertOnly }) => insertOnly === (kind === "inserts")),
      hasLists: session.serverVersion >= 150_000,
    };
    const facts = found[kind];
    const isOurs = facts?.comment === mark(names.owner);
    const coverage: Coverage[] = [];
    for (const table of wish.tables) coverage.push(await cover(session, facts, table, isOurs));
    states.push({
      wish,
      facts,
      isOurs,
      tables: coverage.map(({ table }) => table),
      adopted: coverage.flatMap(({ table }, at) =>
        table.where === wish.tables[at]?.where ? [] : [table],
      ),
      differences: [
        ...(kind === "main" && !isOurs
          ? breaking(
              facts,
              tables.filter(({ insertOnly }) => insertOnly),
            )
          : []),
        ...differences(wish, facts, coverage, isOurs),
      ],
    });
  }
  return states;
}

async function cover(
  session: Pick<Session, "query">,
  facts: PublicationFacts | undefined,
  table: Table,
  isOurs: boolean,
): Promise<Coverage> {
  if (!facts) return { table, members: [], isCovered: false, isFiltered: true };
  const coverage = coverageOf(facts, table);
  const filters = new Set(coverage.members.map(({ filter }) => filter));
  const [filter = null] = filters;
  const { isCovered } = coverage;
  const adopted =
    isOurs || !isCovered ? table : adopt(table, coverage, filters.size === 1 ? filter : null);
  // Once the root is published by itself, its partitions' own filters are void.
  const isVoid = !isCovered && facts.isViaRoot;
  return {
    ...coverage,
    table: { ...adopted, ...(isCovered && { membership: membershipOf(facts, coverage) }) },
    isFiltered: isVoid || (await isFiltered(session, adopted, filters)),
  };
}

function membershipOf(
  { direct }: PublicationFacts,
  { table, members }: Pick<Coverage, "table" | "members">,
): string {
  const own = direct.filter(({ oid }) => oid === table.oid);
  return (own.length > 0 ? own : members).map(({ membership }) => membership).join(" ");
}

/** What the configuration leaves open, a publication that others keep decides. */
function adopt(table: Table, { members }: Pick<Coverage, "members">, filter: string | null): Table {
  const isPublished = (name: string) =>
    members.every(({ columns }) => columns?.includes(name) ?? true);
  return {
    ...table,
    ...(table.where === undefined && filter !== null && { where: filter }),
    ...(!table.hasColumnList && { columns: table.columns.filter(({ name }) => isPublished(name)) }),
  };
}

async function isFiltered(
  session: Pick<Session, "query">,
  table: Table,
  filters: ReadonlySet<string | null>,
): Promise<boolean> {
  for (const filter of filters) {
    if (filter === table.where || (filter === null && table.where === undefined)) continue;
    if (filter === null || table.where === undefined) return false;
    if (!(await isSameFilter(session, table, table.where, filter))) return false;
  }
  return true;
}
