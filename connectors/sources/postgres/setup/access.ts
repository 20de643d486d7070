import type { Finding } from "sluice";
import type { Relation } from "./catalog.ts";
import { failed } from "./findings.ts";
import { qualified, quoted, shown } from "./identifier.ts";

/** A captured relation and the names of the columns wanted of it. */
export interface Wanted {
  readonly relation: Relation;
  readonly columns: ReadonlySet<string>;
}

/**
 * What the role may not read. Row security is an error: it would hide rows from the snapshot, though
 * not from the stream. One finding a kind, however many tables: a GRANT takes them all.
 */
export function accessFindings(role: string, wanted: readonly Wanted[]): readonly Finding[] {
  const user = quoted(role);
  const outside = wanted.filter(({ relation }) => !relation.mayUseSchema);
  const unread = wanted.filter(({ relation, columns }) =>
    relation.columns.some(({ name, isReadable }) => columns.has(name) && !isReadable),
  );
  const denied = [...new Set([...outside, ...unread])].map(({ relation }) => relation);
  const schemas = [...new Set(outside.map(({ relation }) => quoted(relation.schema)))];
  const findings: Finding[] = [];
  if (denied.length > 0)
    findings.push(
      failed(
        "postgres.no-select",
        `role ${user} may not read ${listed(denied)}.`,
        [
          ...(schemas.length > 0
            ? [`GRANT USAGE ON SCHEMA ${schemas.join(", ")} TO ${user};`]
            : []),
          ...(unread.length > 0
            ? [
                `GRANT SELECT ON ${unread.map(({ relation }) => qualified(relation)).join(", ")} TO ${user};`,
              ]
            : []),
        ].join(" "),
      ),
    );
  const hidden = wanted.filter(({ relation }) => relation.hasRowSecurity);
  if (hidden.length > 0)
    findings.push(
      failed(
        "postgres.row-security",
        `row level security limits what role ${user} sees of ${listed(hidden.map(({ relation }) => relation))}: the copy would miss rows that the stream carries.`,
        `ALTER ROLE ${user} BYPASSRLS;`,
      ),
    );
  return findings;
}

/** A few names, and how many more there are. */
export function listed(tables: readonly { schema: string; name: string }[]): string {
  const named = tables.slice(0, 3).map(shown).join(", ");
  return tables.length > 3 ? `${named} and ${tables.length - 3} more` : named;
}
