import type { IndexRow } from "./call.ts";
import { indexById } from "./control.ts";
import type { Database, Row } from "./database.ts";
import { nextChange, toNamespace, type Namespace } from "./namespace.ts";
import { Refusal } from "./refusal.ts";
import { applyRemove, parseRemove } from "./remove.ts";
import type { Mirrors } from "./search/mirrors.ts";
import { delayOf, type Settings } from "./settings.ts";
import { targets } from "./targets.ts";
import { applyUpdate, parseUpdate } from "./update.ts";
import { applyUpsert, parseUpsert } from "./upsert.ts";

export type Operation = "upsert" | "update" | "remove";

/** Which of the waiting writes become visible. */
export type Which =
  | { readonly now: number }
  | { readonly namespace: number; readonly count: number }
  | "all";

/** When a write becomes visible: `null` when it is held. Never before the one accepted before it. */
export function dueOf(
  database: Database,
  { id, name }: Namespace,
  settings: Settings,
  index: string,
): number | null | "now" {
  const { mode, indexDelayMs, jitterMs } = delayOf(settings, index, name);
  const [last] = database.rows(
    "SELECT due FROM pending WHERE namespace = ? ORDER BY lsn DESC LIMIT 1",
    [id],
  );
  const waitMs = indexDelayMs + Math.round(Math.random() * jitterMs);
  if (last === undefined && mode === "auto" && waitMs === 0) return "now";
  if (mode === "paused") return null;
  return Math.max(Date.now() + waitMs, Number(last?.["due"] ?? 0));
}

export function enqueue(
  database: Database,
  { id, lsn }: Namespace,
  write: { readonly operation: Operation; readonly body: unknown; readonly due: number | null },
): void {
  database.run(
    "INSERT INTO pending (namespace, lsn, due, operation, body) VALUES (?, ?, ?, ?, ?)",
    [id, lsn, write.due, write.operation, JSON.stringify(write.body)],
  );
}

/** Writes that were held while a namespace was paused are due once it no longer is, and so are those behind them. */
export function letGo(database: Database, settings: Settings): void {
  const held = database.rows(
    `SELECT DISTINCT n.id, n.name, i.name AS "index" FROM pending p
     JOIN namespaces n ON n.id = p.namespace JOIN indexes i ON i.id = n."index" WHERE p.due IS NULL`,
  );
  for (const { id, name, index } of held)
    if (delayOf(settings, String(index), String(name)).mode !== "paused")
      database.run("UPDATE pending SET due = ? WHERE namespace = ? AND due IS NULL", [
        Date.now(),
        Number(id),
      ]);
}

export function isDue(database: Database, now: number): boolean {
  return database.rows("SELECT 1 FROM pending WHERE due <= ? LIMIT 1", [now]).length > 0;
}

/** Makes waiting writes visible, those of a namespace in the order of their LSNs, without holes. Says how many. */
export function release(database: Database, mirrors: Mirrors, which: Which): number {
  const waiting = database.rows(
    "SELECT * FROM namespaces WHERE id IN (SELECT namespace FROM pending)",
  );
  let released = 0;
  for (const row of waiting) {
    const { id } = toNamespace(row);
    if (typeof which === "object" && "namespace" in which && which.namespace !== id) continue;
    const index = indexById(database, Number(row["index"]));
    const limit = typeof which === "object" && "count" in which ? which.count : -1;
    const writes = database.rows("SELECT * FROM pending WHERE namespace = ? ORDER BY lsn LIMIT ?", [
      id,
      limit,
    ]);
    for (const write of writes) {
      if (typeof which === "object" && "now" in which && !isBefore(write["due"], which.now)) break;
      apply(database, mirrors, index, id, write);
      released++;
    }
  }
  return released;
}

function isBefore(due: unknown, now: number): boolean {
  return due !== null && Number(due) <= now;
}

function apply(
  database: Database,
  mirrors: Mirrors,
  index: IndexRow,
  id: number,
  write: Row,
): void {
  const [row] = database.rows("SELECT * FROM namespaces WHERE id = ?", [id]);
  if (row === undefined) return;
  // Earlier writes of this transaction are not committed yet: memory must not remember them.
  const place = { database, mirrors, index, home: toNamespace(row), trial: true };
  const body: unknown = JSON.parse(String(write["body"]));
  try {
    database.part(() => applyOne(place, String(write["operation"]) as Operation, body));
  } catch (error) {
    // Metadata that grew over its limit meanwhile: nothing of it is written, and nobody is left to be told.
    if (!(error instanceof Refusal)) throw error;
  }
  const lsn = Number(write["lsn"]);
  database.run("DELETE FROM pending WHERE namespace = ? AND lsn = ?", [id, lsn]);
  database.run("UPDATE namespaces SET visible = ? WHERE id = ?", [lsn, id]);
}

function applyOne(place: Parameters<typeof targets>[0], operation: Operation, body: unknown): void {
  const { database, index, home } = place;
  switch (operation) {
    case "upsert": {
      const request = parseUpsert(body, index);
      return applyUpsert(database, home.id, nextChange(database, home.id), request);
    }
    case "update": {
      const request = parseUpdate(body, index);
      const numbers = targets(place, request.target);
      return applyUpdate(database, numbers, nextChange(database, home.id), request);
    }
    case "remove": {
      const { target } = parseRemove(body);
      const numbers = target === "all" ? target : targets(place, target);
      return applyRemove(database, home.id, nextChange(database, home.id), numbers);
    }
  }
}
