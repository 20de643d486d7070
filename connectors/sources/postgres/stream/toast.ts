import { setTimeout as sleep } from "node:timers/promises";
import type { Relation } from "./relation.ts";
import type { Session } from "../session.ts";
import { sqlState } from "../wire/refusals.ts";
import { quoted, rowsOf } from "../setup/tables.ts";
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
  const gaps = columns.flatMap((_, at) =>
    asked.some(({ row }) => row[at] === undefined) ? [at] : [],
  );
  const names = gaps.map((at) => `t.${quoted(columns[at]?.name ?? "")}`);
  const keys = table.key.map((_, n) => `k${n}`);
  const sql = `SELECT k.n, pg_current_snapshot(), ${[`t.${quoted(table.key[0]?.name ?? "")}`, ...names].join(", ")}
    FROM unnest(${table.key.map(({ typeName }, n) => `$${n + 1}::${typeName}[]`).join(", ")})
      WITH ORDINALITY AS k(${keys.join(", ")}, n)
    LEFT JOIN ${rowsOf(table)} t
      ON ${table.key.map(({ name }, n) => `t.${quoted(name)} = k.k${n}`).join(" AND ")}`;
  const params = keyAt.map((at) => asked.map(({ row }) => row[at] ?? ""));
  for (;;) {
    signal.throwIfAborted();
    const answer = await session.query(sql, params).catch((error: unknown) => {
      // A later statement dropped the column or the table: nothing can be read again.
      if (["42703", "42P01"].includes(sqlState(error) ?? "")) return undefined;
      throw error;
    });
    if (!answer) return [];
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
}
