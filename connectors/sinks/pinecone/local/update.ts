import { z } from "sluice";
import { namespaceName, parsed, type IndexRow } from "./call.ts";
import { checkId, checkMetadata, metadata, sparseText, toSparse, toStored } from "./check.ts";
import type { Database, Row } from "./database.ts";
import { parseFilter, type Filter } from "./filter.ts";
import { invalid } from "./refusal.ts";
import { metadataOf, normOf, toBytes } from "./row.ts";

const updateBody = z.object({
  namespace: namespaceName,
  id: z.string().nullish(),
  filter: z.unknown().optional(),
  values: z.unknown().optional(),
  sparseValues: z.unknown().optional(),
  setMetadata: metadata.nullish(),
  dryRun: z.boolean().nullish(),
});

/** By id: values, sparse values and metadata. By filter: metadata only. Metadata is merged; a key cannot be dropped. */
export interface Update {
  readonly namespace: string;
  readonly target: { readonly id: string } | { readonly filter: Filter };
  readonly floats: Float32Array | undefined;
  readonly sparse: string | undefined;
  readonly setMetadata: Readonly<Record<string, unknown>> | undefined;
  /** Only count what a filter selects. */
  readonly dryRun: boolean;
}

export function parseUpdate(body: unknown, index: IndexRow): Update {
  const { namespace, id, filter, values, sparseValues, setMetadata, dryRun } = parsed(
    updateBody,
    body,
  );
  if ((id == null) === (filter == null)) throw invalid("update takes exactly one of id and filter");
  if (id == null && (values != null || sparseValues != null))
    throw invalid("update by filter sets metadata only, not values");
  if (id != null && dryRun === true) throw invalid("dryRun is for updates by filter, not by id");
  if (values == null && sparseValues == null && setMetadata == null)
    throw invalid("update has nothing to set: give values, sparseValues or setMetadata");
  if (setMetadata != null) checkMetadata(setMetadata);
  if (id != null) checkId(id);
  if (values != null && index.dimension === 0)
    throw invalid("the index is sparse: update sparseValues, not values");
  return {
    namespace,
    target: id == null ? { filter: parseFilter(filter) } : { id },
    floats: values == null ? undefined : toStored(values, index.dimension, id ?? ""),
    sparse: sparseValues == null ? undefined : sparseText(toSparse(sparseValues)),
    setMetadata: setMetadata ?? undefined,
    dryRun: dryRun === true,
  };
}

/** Applies it to the rows with these numbers. */
export function applyUpdate(
  database: Database,
  numbers: readonly number[],
  change: number,
  { floats, sparse, setMetadata }: Update,
): void {
  const rows = database.rows(
    "SELECT number, metadata FROM vectors WHERE number IN (SELECT value FROM json_each(?))",
    [JSON.stringify(numbers)],
  );
  for (const row of rows) {
    const number = Number(row["number"]);
    if (floats !== undefined)
      database.run("UPDATE vectors SET embedding = ?, norm = ? WHERE number = ?", [
        toBytes(floats),
        normOf(floats),
        number,
      ]);
    if (sparse !== undefined)
      database.run("UPDATE vectors SET sparse = ? WHERE number = ?", [sparse, number]);
    database.run("UPDATE vectors SET metadata = ?, change = ? WHERE number = ?", [
      setMetadata === undefined
        ? textOf(row)
        : checkMetadata({ ...metadataOf(row), ...setMetadata }),
      change,
      number,
    ]);
  }
}

function textOf(row: Row): string | null {
  return typeof row["metadata"] === "string" ? row["metadata"] : null;
}
