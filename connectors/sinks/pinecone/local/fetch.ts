import { createHash } from "node:crypto";
import { z } from "sluice";
import { givenNamespace, namespaceName, parsed, usage, type Handler } from "./call.ts";
import { checkIds } from "./check.ts";
import type { Row } from "./database.ts";
import { parseFilter } from "./filter.ts";
import { findNamespace } from "./namespace.ts";
import { openPage, pageToken } from "./page.ts";
import { invalid } from "./refusal.ts";
import { toRecord } from "./row.ts";
import { targets } from "./targets.ts";

const byMetadata = z.object({
  namespace: namespaceName,
  filter: z.unknown().optional(),
  limit: z.number().int().min(1).max(10_000).nullish(),
  paginationToken: z.string().nullish(),
});
const standardLimit = 100;

export const fetchByIds: Handler = ({ database, index, query }) => {
  const ids = query.getAll("ids");
  checkIds(ids, "fetch");
  const name = query.get("namespace") ?? "";
  const home = findNamespace(database, index.id, parsed(namespaceName, name));
  const rows = database.rows(
    "SELECT * FROM vectors WHERE namespace = ? AND id IN (SELECT value FROM json_each(?))",
    [home?.id ?? 0, JSON.stringify(ids)],
  );
  return { body: { vectors: byId(rows), namespace: name, usage }, indexed: home?.visible ?? 0 };
};

export const fetchByMetadata: Handler = (call) => {
  const { database, index } = call;
  const { namespace, filter, limit, paginationToken } = parsed(byMetadata, call.body);
  const condition = parseFilter(filter);
  const scope = { namespace, filter: digest(JSON.stringify(filter)) };
  const after = openPage(paginationToken, scope);
  const home = findNamespace(database, index.id, namespace);
  const found = home === undefined ? [] : targets({ ...call, home }, { filter: condition });
  const most = limit ?? standardLimit;
  // The plus makes SQLite walk the ids in their order and stop: a page costs the same however many match.
  const rows = database.rows(
    `SELECT * FROM vectors WHERE namespace = ? AND id > ?
     AND +number IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?`,
    [home?.id ?? 0, after, JSON.stringify(found), most + 1],
  );
  const page = rows.slice(0, most);
  const next = rows.length > most ? pageToken(scope, String(page.at(-1)?.["id"])) : undefined;
  return {
    body: {
      vectors: byId(page),
      namespace: givenNamespace(call.body),
      usage,
      ...(next !== undefined && { pagination: { next } }),
    },
    indexed: home?.visible ?? 0,
  };
};

/** A token names its filter, which may be long. */
function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

/** So much JSON at most: V8 makes no longer text than 512 MB, and the vectors take several times that on their way. */
const maxAnswerBytes = 64 * 1024 * 1024;
/** A float32 in its shortest form, with its comma. */
const bytesOfNumber = 12;

/** Not a literal, in which the id `__proto__` would be lost. */
function byId(rows: readonly Row[]): object {
  const bytes = rows.reduce((sum, row) => sum + bytesOf(row), 0);
  if (bytes > maxAnswerBytes)
    throw invalid(
      `the answer would be larger than ${maxAnswerBytes} bytes: ask for fewer vectors at once`,
    );
  return Object.fromEntries(rows.map((row) => [row["id"], toRecord(row)]));
}

/** About what it takes as JSON: embeddings are kept as four bytes a number. */
function bytesOf(row: Row): number {
  const size = (name: string) => {
    const part = row[name];
    if (typeof part === "string") return part.length;
    return part instanceof ArrayBuffer || ArrayBuffer.isView(part) ? part.byteLength : 0;
  };
  return (size("embedding") / 4) * bytesOfNumber + size("metadata") + size("id");
}
