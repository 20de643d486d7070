import type { Session } from "../session.ts";
import { rowsOf, type Table } from "../setup/tables.ts";

/**
 * How many rows a copy will read: the planner looks at the files, also of tables that were never
 * analyzed. 0 where it cannot be known now, for somebody holds a lock on the table.
 */
export async function estimateRows(session: Session, table: Table): Promise<number> {
  const where = table.where === undefined ? "" : ` WHERE (${table.where})`;
  try {
    const [[plan = ""] = []] = await session.query(
      `BEGIN; SET LOCAL lock_timeout = 500; EXPLAIN SELECT FROM ${rowsOf(table)}${where}`,
    );
    return Number(/ rows=(\d+) /.exec(plan ?? "")?.[1] ?? 0);
  } catch {
    return 0; // it only shows how far the copy is
  } finally {
    await session.query("ROLLBACK");
  }
}
