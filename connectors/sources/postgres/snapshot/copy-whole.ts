import { publishChunk, type CopyRun } from "./copy.ts";
import { subjectOf } from "../stream/events.ts";
import { quoted, rowsOf } from "../setup/tables.ts";
import { isUnchanged } from "./range.ts";

/**
 * Copies a table without a key in one pass and one transaction: it cannot be continued after a crash,
 * only begun anew. Such a table only grows and equal rows are one record, so nothing can be stale.
 * Resolves to false when the table is gone, or not what it was.
 */
export async function copyWhole(run: CopyRun): Promise<boolean> {
  const { signal, chunkRows } = run;
  const table = await run.table();
  if (!table) return false;
  const relation = run.relationOf(table);
  const where = table.where === undefined ? "" : `WHERE (${table.where})`;
  const names = table.columns.map(({ name }) => quoted(name)).join(", ");
  // Markers are written beside the transaction that reads.
  const reader = await run.openSession();
  try {
    await reader.query("BEGIN READ ONLY");
    await reader.query(
      `DECLARE whole NO SCROLL CURSOR FOR SELECT ${names} FROM ${rowsOf(table)} ${where}`,
    );
    // From here on the cursor's lock keeps it as it is.
    if (!(await isUnchanged(reader, table))) return false;
    for (let count = 0, isLast = false; !isLast;) {
      signal.throwIfAborted();
      const rows = await reader.query(`FETCH ${Math.min(chunkRows, 1_000)} FROM whole`);
      isLast = rows.length === 0;
      const chunk = {
        rows,
        isLast,
        subjects: rows.map((row) => subjectOf(relation, row)),
        window: run.openWindow(),
        close: () => undefined,
      };
      await publishChunk(run, relation, chunk, {
        copier: { isVoid: false },
        upto: null,
        count,
      });
      count += rows.length;
    }
    return true;
  } finally {
    await reader.close();
  }
}
