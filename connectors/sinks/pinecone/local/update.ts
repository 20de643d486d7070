import { z } from "sluice";
import { namespaceName, parsed, type Call, type Handler } from "./call.ts";
import { checkId, checkMetadata, checkSparse, metadata, sparseValues, toStored } from "./check.ts";
import type { Row } from "./database.ts";
import { compileFilter } from "./filter.ts";
import { advance, findNamespace } from "./namespaces.ts";
import { invalid } from "./refusal.ts";
import { metadataOf, toBytes } from "./row.ts";
import { matching } from "./vectors.ts";

const updateBody = z.object({
  namespace: namespaceName,
  id: z.string().nullish(),
  filter: z.unknown().optional(),
  values: z.array(z.number()).nullish(),
  sparseValues: sparseValues.nullish(),
  setMetadata: metadata.nullish(),
  dryRun: z.boolean().nullish(),
});
type Update = z.output<typeof updateBody>;

/** By id: values, sparse values and metadata. By filter: metadata only. Metadata is merged; a key cannot be dropped. */
export const update: Handler = (call) => {
  const request = parsed(updateBody, call.body);
  const { id, filter, values, sparseValues, setMetadata } = request;
  if ((id == null) === (filter == null)) throw invalid("update takes exactly one of id and filter");
  if (values == null && sparseValues == null && setMetadata == null) {
    throw invalid("update has nothing to set: give values, sparseValues or setMetadata");
  }
  if (setMetadata != null) checkMetadata(setMetadata);
  return id == null ? updateByFilter(call, request) : updateById(call, request, id);
};

function updateById({ database, index }: Call, request: Update, id: string): ReturnType<Handler> {
  checkId(id);
  const dense =
    request.values == null ? undefined : toBytes(toStored(request.values, index.dimension, id));
  const sparse = request.sparseValues == null ? undefined : checkSparse(request.sparseValues);
  if (findNamespace(database, index.id, request.namespace)?.live !== true) return { body: {} };
  const { id: home, lsn } = advance(database, index.id, request.namespace);
  const [row] = database.rows(
    "SELECT number, metadata FROM vectors WHERE namespace = ? AND id = ?",
    [home, id],
  );
  if (row !== undefined) {
    if (dense !== undefined) {
      database.run("UPDATE vectors SET embedding = ?, norm = ? WHERE number = ?", [
        dense.bytes,
        dense.norm,
        Number(row["number"]),
      ]);
    }
    if (sparse !== undefined) {
      database.run("UPDATE vectors SET sparse = ? WHERE number = ?", [
        sparse,
        Number(row["number"]),
      ]);
    }
    if (request.setMetadata != null) merge({ database }, row, request.setMetadata);
  }
  return { body: {}, written: lsn };
}

function updateByFilter({ database, index }: Call, request: Update): ReturnType<Handler> {
  if (request.values != null || request.sparseValues != null) {
    throw invalid("update by filter sets metadata only, not values");
  }
  const condition = compileFilter(request.filter);
  const home = findNamespace(database, index.id, request.namespace);
  const rows = home?.live === true ? matching(database, home.id, condition) : [];
  const body = { matchedRecords: rows.length };
  if (request.dryRun === true || home?.live !== true) return { body };
  const { lsn } = advance(database, index.id, request.namespace);
  for (const row of rows) merge({ database }, row, request.setMetadata ?? {});
  return { body, written: lsn };
}

function merge(
  { database }: Pick<Call, "database">,
  row: Row,
  metadata: Readonly<Record<string, unknown>>,
): void {
  database.run("UPDATE vectors SET metadata = ? WHERE number = ?", [
    checkMetadata({ ...metadataOf(row), ...metadata }),
    Number(row["number"]),
  ]);
}
