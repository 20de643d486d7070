import { z } from "sluice";
import { namespaceName, parsed } from "./call.ts";
import { checkIds } from "./check.ts";
import type { Database } from "./database.ts";
import { parseFilter, type Filter } from "./filter.ts";
import { invalid } from "./refusal.ts";

const removeBody = z.object({
  namespace: namespaceName,
  ids: z.array(z.string()).nullish(),
  filter: z.unknown().optional(),
  deleteAll: z.boolean().nullish(),
});

export interface Remove {
  readonly namespace: string;
  readonly target: { readonly ids: readonly string[] } | { readonly filter: Filter } | "all";
}

export function parseRemove(body: unknown): Remove {
  const { namespace, ids, filter, deleteAll } = parsed(removeBody, body);
  const ways = [ids != null, filter != null, deleteAll === true].filter(Boolean).length;
  if (ways !== 1) throw invalid("delete takes exactly one of ids, filter and deleteAll");
  if (ids != null) {
    checkIds(ids, "delete");
    return { namespace, target: { ids } };
  }
  return { namespace, target: filter == null ? "all" : { filter: parseFilter(filter) } };
}

/** Removes the rows with these numbers, or all of the namespace. */
export function applyRemove(
  database: Database,
  home: number,
  change: number,
  numbers: readonly number[] | "all",
): void {
  const removed =
    numbers === "all"
      ? database.run("DELETE FROM vectors WHERE namespace = ?", [home])
      : database.run("DELETE FROM vectors WHERE number IN (SELECT value FROM json_each(?))", [
          JSON.stringify(numbers),
        ]);
  if (removed > 0) database.run("UPDATE namespaces SET removed = ? WHERE id = ?", [change, home]);
}
