import type { Finding } from "sluice";
import { accessFindings, listed } from "./access.ts";
import { readRelations, similarNames, type CatalogColumn, type Relation } from "./catalog.ts";
import type { Options, TableOptions } from "../config.ts";
import { chosenColumns } from "./columns.ts";
import { filterFindings } from "./filter.ts";
import { advised, failed, fine, isError, warned } from "./findings.ts";
import { qualified, shown } from "./identifier.ts";
import { covers, neededColumns, type Identity } from "./identity.ts";
import { resolveKey } from "./key.ts";
import { entryFor, parseEntries, type Entry } from "./pattern.ts";
import type { Session } from "../session.ts";
import { unfit } from "./unfit.ts";

export { quoted, rowsOf } from "./identifier.ts";

export interface Column {
  readonly name: string;
  /** Oid of its type. */
  readonly type: number;
  /** For casts, e.g. `character varying(20)`. */
  readonly typeName: string;
  /** What the type is narrowed by, its length or scale; -1: nothing. */
  readonly typmod: number;
  readonly notNull: boolean;
}

export interface KeyColumn extends Column {
  /** Schema of the operators that compare it: our sessions look in pg_catalog only. */
  readonly operators: string;
}

/** A table that is captured. A partitioned one is captured once, under its root. */
export interface Table {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: "table" | "partitioned";
  /** The captured ones, in table order. The stream may carry more: generated ones, or all under FULL. */
  readonly columns: readonly Column[];
  /** Names of columns that are computed of others: neither copied nor taken from the stream. */
  readonly generated: readonly string[];
  /** In key order. Empty for an `insertOnly` table without a key. */
  readonly key: readonly KeyColumn[];
  /** Two rows may have one key until their transaction ends. */
  readonly isKeyDeferrable: boolean;
  readonly identity: "d" | "n" | "f" | "i";
  /** Columns that any identity of it or its partitions uses; "all" under FULL. */
  readonly identityColumns: Identity;
  /** Row filter, an SQL condition. */
  readonly where?: string;
  readonly insertOnly: boolean;
  /** The configuration names its columns: the publication carries a list of them. */
  readonly hasColumnList: boolean;
  readonly isOwned: boolean;
  /** How the publication carries it: another text once it was out of it. Absent: it does not. */
  readonly membership?: string;
  /** Oids of the partitioned tables that it is a part of. */
  readonly ancestors: readonly number[];
  /** Of all levels. */
  readonly partitions: readonly {
    readonly oid: number;
    /** Oid of what it is a part of: the table or another of these. */
    readonly parent: number;
    readonly schema: string;
    readonly name: string;
    readonly isLeaf: boolean;
  }[];
}

/**
 * The tables that the configuration names, as they are now, and what is wrong with them. One that
 * is named and cannot be captured is an error and not among `tables`; one that only a pattern
 * matches is left out with a warning. `refused`: those that are there, and why they cannot be
 * captured. A handful of queries, however many tables there are.
 */
export async function capturedTables(
  session: Pick<Session, "query" | "serverVersion">,
  options: Pick<Options, "tables">,
): Promise<{
  readonly tables: readonly Table[];
  readonly findings: readonly Finding[];
  readonly refused: readonly Refused[];
}> {
  const { entries, malformed } = parseEntries(options.tables);
  const relations = await readRelations(session, entries);
  const findings: Finding[] = malformed.map((name) =>
    advised(
      failed("postgres.table-name", `${JSON.stringify(name)} is no name of a table.`),
      'Write `schema.table`; a part with a dot, a quote or a star in double quotes, e.g. `shop."a.b"`.',
    ),
  );
  findings.push(...(await unmatched(session, entries, relations)));
  const inTrees = new Set(relations.flatMap(({ partitions }) => partitions.map(({ oid }) => oid)));
  const captured: { readonly relation: Relation; readonly table: Table }[] = [];
  const refused: Refused[] = [];
  for (const relation of relations) {
    const entry = entryFor(entries, relation);
    if (!entry || inTrees.has(relation.oid)) continue;
    const { table, findings: found } = await judge(session, relation, entry);
    findings.push(...found);
    if (table) captured.push({ relation, table });
    else refused.push({ schema: relation.schema, name: relation.name, findings: found });
  }
  const tables = captured.map(({ table }) => table);
  const wanted = captured.map(({ relation, table }) => ({
    relation,
    columns: new Set(table.columns.map(({ name }) => name)),
  }));
  const [[role] = []] = await session.query("SELECT current_user");
  findings.push(...accessFindings(role ?? "", wanted), ...heirless(captured));
  if (tables.length > 0) findings.push(fine("postgres.tables", `captures ${listed(tables)}.`));
  else if (!findings.some(isError)) findings.push(nothing);
  return { tables, findings, refused };
}

/** A table that is there and named, and that cannot be captured. */
export interface Refused {
  readonly schema: string;
  readonly name: string;
  readonly findings: readonly Finding[];
}

const nothing = advised(
  failed("postgres.no-tables", "there is nothing to capture."),
  "Name in `tables` at least one table that exists and has a key.",
);

/** A relation as a table to capture; without one when the findings say why not. */
async function judge(
  session: Pick<Session, "query" | "serverVersion">,
  relation: Relation,
  { options, isExact }: Entry,
): Promise<{ readonly table?: Table; readonly findings: readonly Finding[] }> {
  const reason = unfit(relation, isExact);
  if (reason !== undefined) return { findings: reason };
  const { key, findings: ofKey } = resolveKey(relation, options);
  const { columns, findings: ofColumns } = chosenColumns(relation, options, key);
  const findings = [...ofKey, ...ofColumns, ...(await filterFindings(session, relation, options))];
  if (findings.some(isError)) return { findings: isExact ? findings : findings.map(leftOut) };
  return { table: toTable(relation, options, columns, key), findings };
}

function toTable(
  relation: Relation,
  options: TableOptions,
  columns: readonly CatalogColumn[],
  key: readonly string[],
): Table {
  const { oid, schema, name, kind, identity, isOwned, ancestors, partitions } = relation;
  return {
    oid,
    schema,
    name,
    kind: kind === "p" ? "partitioned" : "table",
    columns: columns.map(toColumn),
    generated: relation.columns.flatMap(({ name, isGenerated }) => (isGenerated ? [name] : [])),
    key: key
      .flatMap((part) => relation.columns.filter((column) => column.name === part))
      .map((column) => ({ ...toColumn(column), operators: operatorsOf(relation, column.name) })),
    isKeyDeferrable:
      key.length > 0 &&
      !relation.indexes.some(({ isImmediate, columns }) => isImmediate && covers(key, columns)),
    identity,
    identityColumns: neededColumns(relation),
    ...(options.where !== undefined && { where: options.where }),
    insertOnly: options.insertOnly,
    hasColumnList: options.columns !== undefined,
    isOwned,
    ancestors,
    partitions: partitions.map((leaf) => ({
      oid: leaf.oid,
      parent: leaf.parent,
      schema: leaf.schema,
      name: leaf.name,
      isLeaf: leaf.isLeaf,
    })),
  };
}

function operatorsOf({ indexes }: Relation, name: string): string {
  const [schema = "pg_catalog"] = indexes.flatMap(
    ({ columns, operators }) => operators[columns.indexOf(name)] ?? [],
  );
  return schema;
}

function toColumn({ name, type, typeName, typmod, notNull }: CatalogColumn): Column {
  return { name, type, typeName, typmod, notNull };
}

async function unmatched(
  session: Pick<Session, "query">,
  entries: readonly Entry[],
  relations: readonly Relation[],
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const { schema, table, options, isExact } of entries) {
    if (relations.some((found) => schema.matches(found.schema) && table.matches(found.name)))
      continue;
    if (isExact) {
      const similar = await similarNames(session, table.text);
      const hint = similar.length > 0 ? `Did you mean ${similar.map(qualified).join(" or ")}?` : "";
      findings.push(
        advised(
          failed(
            "postgres.table-missing",
            `there is no table ${shown({ schema: schema.text, name: table.text })}.`,
          ),
          hint || "Create it, or take it out of `tables`.",
        ),
      );
    } else
      findings.push(
        advised(
          warned("postgres.table-missing", `no table matches ${JSON.stringify(options.name)}.`),
          "Correct it, or create such a table and restart.",
        ),
      );
  }
  return findings;
}

function leftOut(finding: Finding): Finding {
  return { ...finding, severity: "warning", message: `${finding.message} It is left out.` };
}

/** Rows of tables that inherit are theirs, not their parent's. */
function heirless(
  captured: readonly { readonly relation: Relation; readonly table: Table }[],
): readonly Finding[] {
  const known = new Set(captured.map(({ table }) => table.oid));
  return captured.flatMap(({ relation }) => {
    const missing = relation.heirs.filter(({ oid }) => !known.has(oid));
    if (missing.length === 0) return [];
    return [
      advised(
        warned(
          "postgres.heirs",
          `rows of tables that inherit from ${shown(relation)} are not captured with it: ${listed(missing)}.`,
        ),
        "Name these tables too if you want their rows.",
      ),
    ];
  });
}
