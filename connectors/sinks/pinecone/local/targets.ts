import type { IndexRow } from "./call.ts";
import type { Database } from "./database.ts";
import type { Filter } from "./filter.ts";
import type { Namespace } from "./namespace.ts";
import type { Mirrors } from "./search/mirrors.ts";

/** Numbers of the rows that a write is about. */
export function targets(
  where: {
    readonly database: Database;
    readonly mirrors: Mirrors;
    readonly index: IndexRow;
    readonly home: Namespace;
    readonly trial: boolean;
  },
  target:
    | { readonly id: string }
    | { readonly ids: readonly string[] }
    | { readonly filter: Filter },
): readonly number[] {
  const { database, mirrors, index, home, trial } = where;
  if ("filter" in target)
    return mirrors.use({ database, index, home, once: trial }, (mirror) =>
      mirror.matching(database, target.filter),
    );
  const ids = "id" in target ? [target.id] : target.ids;
  const rows = database.rows(
    "SELECT number FROM vectors WHERE namespace = ? AND id IN (SELECT value FROM json_each(?))",
    [home.id, JSON.stringify(ids)],
  );
  return rows.map((row) => Number(row["number"]));
}
