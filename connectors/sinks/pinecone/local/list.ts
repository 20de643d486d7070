import { limitOf, namespaceName, parsed, usage, type Handler } from "./call.ts";
import { findNamespace } from "./namespace.ts";
import { openPage, pageToken } from "./page.ts";

/** Ids in the order of their bytes; a token stays valid while others come and go. */
export const list: Handler = ({ database, index, query }) => {
  const limit = limitOf(query, "limit", { standard: 100, max: 1_000 });
  const name = query.get("namespace") ?? "";
  const namespace = parsed(namespaceName, name);
  const prefix = query.get("prefix") ?? "";
  const scope = { namespace, prefix };
  const after = openPage(query.get("paginationToken"), scope);
  const home = findNamespace(database, index.id, namespace);
  // SQLite orders by bytes, and no ASCII id reaches the last code point.
  const rows = database.rows(
    "SELECT id FROM vectors WHERE namespace = ? AND id >= ? AND id < ? AND id > ? ORDER BY id LIMIT ?",
    [home?.id ?? 0, prefix, `${prefix}\u{10ffff}`, after, limit + 1],
  );
  const page = rows.slice(0, limit);
  const next = rows.length > limit ? pageToken(scope, String(page.at(-1)?.["id"])) : undefined;
  return {
    body: {
      vectors: page.map(({ id }) => ({ id })),
      ...(next !== undefined && { pagination: { next } }),
      namespace: name,
      usage,
    },
    indexed: home?.visible ?? 0,
  };
};
