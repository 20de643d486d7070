import type { Finding } from "sluice";
import type { Relation } from "./catalog.ts";
import { advised, failed, warned } from "./findings.ts";
import { qualified, shown } from "./identifier.ts";

/**
 * Why logical replication cannot carry a relation, whoever asks; `undefined` if it can. What a
 * pattern merely happens to match (a view, an extension's own table) is left out without a word.
 */
export function unfit(relation: Relation, isNamed: boolean): readonly Finding[] | undefined {
  const name = shown(relation);
  const what = kindOf(relation);
  if (what !== undefined)
    return isNamed
      ? [
          advised(
            failed("postgres.table-kind", `${name} is ${what}, which is not replicated.`),
            "Name the tables that its rows come from.",
          ),
        ]
      : [];
  if (relation.isExtension && !isNamed) return [];
  const say = isNamed ? failed : warned;
  const suffix = isNamed ? "" : " It is left out.";
  const unlogged = [
    ...(relation.persistence === "u" ? [relation] : []),
    ...relation.partitions.filter(({ isUnlogged }) => isUnlogged),
  ];
  if (unlogged.length > 0)
    return [
      say(
        "postgres.table-unlogged",
        `${unlogged.map(shown).join(", ")} is unlogged, so its changes are in no log.${suffix}`,
        unlogged.map((table) => `ALTER TABLE ${qualified(table)} SET LOGGED;`).join(" "),
      ),
    ];
  const foreign = relation.partitions.filter(({ isForeign }) => isForeign);
  if (foreign.length > 0)
    return [
      advised(
        say(
          "postgres.partition-foreign",
          `partitions of ${name} are foreign tables, whose changes are not replicated: ${foreign.map(shown).join(", ")}.${suffix}`,
        ),
        "Name the other partitions in `tables` instead, each by itself.",
      ),
    ];
  return undefined;
}

function kindOf({ kind, persistence, isSystem }: Relation): string | undefined {
  if (kind === "v") return "a view";
  if (kind === "m") return "a materialized view";
  if (kind === "f") return "a foreign table";
  if (persistence === "t") return "a temporary table";
  return isSystem ? "a system table" : undefined;
}
