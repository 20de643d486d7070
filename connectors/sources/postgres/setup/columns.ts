import type { Finding } from "sluice";
import type { CatalogColumn, Relation } from "./catalog.ts";
import type { TableOptions } from "../config.ts";
import { advised, failed } from "./findings.ts";
import { quotedList, shown } from "./identifier.ts";

/** The columns to capture: the configured ones and the key, else all that the stream carries. */
export function chosenColumns(
  relation: Relation,
  options: TableOptions,
  key: readonly string[],
): { readonly columns: readonly CatalogColumn[]; readonly findings: readonly Finding[] } {
  const wanted = options.columns && new Set([...options.columns, ...key]);
  const known = new Set(relation.columns.map(({ name }) => name));
  const unknown = options.columns?.filter((name) => !known.has(name)) ?? [];
  const generated = relation.columns.filter(
    ({ name, isGenerated }) => isGenerated && (wanted?.has(name) || key.includes(name)),
  );
  const findings: Finding[] = [];
  if (unknown.length > 0)
    findings.push(
      advised(
        failed(
          "postgres.unknown-column",
          `${shown(relation)} has no column ${quotedList(unknown)}.`,
        ),
        `Name in \`columns\` columns of the table: ${quotedList([...known])}.`,
      ),
    );
  if (generated.length > 0)
    findings.push(
      advised(
        failed(
          "postgres.column-generated",
          `${quotedList(generated.map(({ name }) => name))} of ${shown(relation)} is generated, and generated columns are not in the stream.`,
        ),
        "Leave it out of `columns` and `key`, and compute it from the others.",
      ),
    );
  const columns = relation.columns.filter(
    ({ name, isGenerated }) => !isGenerated && (!wanted || wanted.has(name)),
  );
  return { columns, findings };
}
