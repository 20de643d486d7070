import { setTimeout as sleep } from "node:timers/promises";
import type { Relation } from "./relation.ts";
import type { Session } from "../session.ts";
import { sqlState } from "../wire/refusals.ts";
import { quoted, rowsOf, type Table } from "../setup/tables.ts";
import { parseVisibility } from "../snapshot/visibility.ts";
import type { Tuple } from "../wire/tuple.ts";

/** A streamed row whose untouched long values were not sent. */
export interface Incomplete {
  readonly relation: Relation;
  readonly xid: number;
  readonly row: Tuple;
}

const retryMs = 5;

/**
 * Completes rows by their keys, a query a table. A value may be newer than its event; that is safe,
 * for the newer change follows. It is never older: the query is repeated until its snapshot sees the
 * row's transaction. A row that is gone keeps its gaps: a delete or another key is bound to follow.
 */
export async function completed(
  rows: readonly Incomplete[],
  session: Session,
  signal: AbortSignal,
): Promise<readonly Tuple[]> {
  const byRelation = new Map<Relation, number[]>();
  for (const [at, { relation }] of rows.entries()) {
    const places = byRelation.get(relation);
    if (places) places.push(at);
    else byRelation.set(relation, [at]);
  }
  const results: Tuple[] = rows.map(({ row }) => row);
  for (const [relation, places] of byRelation) {
    if (relation.keyAt.length === 0) continue;
    const asked = places.map((at) => rows[at] as Incomplete); // its own indexes
    const found = await reread(relation, asked, session, signal);
    for (const [n, at] of places.entries()) {
      const now = found[n];
      if (now)
        results[at] = (results[at] ?? []).map((value, c) => (value === undefined ? now[c] : value));
    }
  }
  return results;
}

/** The rows as they are now, in the order asked; `undefined` where there is none. */
async function reread(
  relation: Relation,
  asked: readonly Incomplete[],
  session: Session,
  signal: AbortSignal,
): Promise<readonly (Tuple | undefined)[]> {
  const { table, columns, keyAt } = relation;
  const params = keyAt.map((at) => asked.map(({ row }) => row[at] ?? ""));
  let gaps = columns.flatMap((_, at) =>
    asked.some(({ row }) => row[at] === undefined) ? [at] : [],
  );
  while (gaps.length > 0) {
    signal.throwIfAborted();
    const names = gaps.map((at) => columns[at]?.name ?? "");
    const answer = await session.query(selectByKey(table, names), params).catch(unreadable);
    if (!answer) {
      // A later statement changed the table. What it left is still to be had.
      const left = await present(session, table, names);
      if (left.size === gaps.length) return [];
      gaps = gaps.filter((_, n) => left.has(names[n] ?? ""));
      continue;
    }
    const visibility = parseVisibility(answer[0]?.[1] ?? "0:0:");
    if (asked.some(({ xid }) => !visibility.sees(xid))) {
      await sleep(retryMs, undefined, { signal });
      continue;
    }
    const found: (Tuple | undefined)[] = asked.map(() => undefined);
    for (const [n, , key, ...values] of answer) {
      if (key == null) continue; // a key is never NULL: no such row now
      const row: (string | null | undefined)[] = columns.map(() => undefined);
      for (const [v, at] of gaps.entries()) row[at] = values[v];
      found[Number(n) - 1] = row;
    }
    return found;
  }
  return [];
}

function selectByKey({ key, ...table }: Table, names: readonly string[]): string {
  const columns = [key[0]?.name ?? "", ...names].map((name) => `t.${quoted(name)}`).join(", ");
  // Cast one by one: a key that is an array would be taken apart with the list.
  const same = key.map(
    ({ name, typeName, operators }, n) =>
      `t.${quoted(name)} OPERATOR(${quoted(operators)}.=) k.k${n}::${typeName}`,
  );
  return `SELECT k.n, pg_current_snapshot(), ${columns}
    FROM unnest(${key.map((_, n) => `$${n + 1}::text[]`).join(", ")})
      WITH ORDINALITY AS k(${key.map((_, n) => `k${n}`).join(", ")}, n)
    LEFT JOIN ${rowsOf(table)} t ON ${same.join(" AND ")}`;
}

/** Nothing can be read where table, columns or their types are no longer what they were. */
function unreadable(error: unknown): undefined {
  if (/^(?:42(?!501)|22|0A)/.test(sqlState(error) ?? "")) return undefined;
  throw error;
}

async function present(
  session: Session,
  { oid }: Table,
  names: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await session.query(
    "SELECT attname FROM pg_attribute WHERE attrelid = $1::oid AND attname = ANY ($2) AND NOT attisdropped",
    [oid, names],
  );
  return new Set(rows.map(([name]) => name ?? ""));
}
