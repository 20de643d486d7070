import type { Context, SluiceEvent } from "sluice";
import type { Options } from "./config.ts";
import { openSession, type Session } from "./session.ts";
import { stopAtErrors } from "./setup/findings.ts";
import { namesOf } from "./setup/names.ts";
import { comparePublication } from "./setup/publication.ts";
import { capturedTables, quoted, rowsOf, type Table } from "./setup/tables.ts";
import { isUnchanged, readRange } from "./snapshot/range.ts";
import { placeOf, subjectOf, upsertOf } from "./stream/events.ts";
import { snapshotRelation } from "./stream/relation.ts";
import { loadTypes } from "./values/types.ts";
import type { Tuple } from "./wire/tuple.ts";

/** Of a table without a key, so many rows are in memory at once. */
const maxRows = 200;

/**
 * Every row of the captured tables, once, as a snapshot would emit it. Makes nothing in the database, and
 * runs beside the source that follows it. A table that is altered meanwhile is read again.
 */
export async function* scan(context: Context<Options>): AsyncGenerator<readonly SluiceEvent[]> {
  const { config, signal, log } = context;
  const session = await openSession(config, context);
  try {
    const types = await loadTypes(session, log);
    const [[database = ""] = []] = await session.query("SELECT current_database()");
    const relations = { database: database ?? "", types, maxValueBytes: config.maxValueBytes };
    const place = placeOf({
      epoch: 0,
      lsn: 0n,
      rank: 0,
      time: new Date().toISOString(),
      meta: {},
    });
    const eventsOf = async function* (table: Table): AsyncGenerator<SluiceEvent[], boolean> {
      const relation = snapshotRelation(table, relations);
      const pages = rowsIn(session, table, config.chunkRows);
      for (;;) {
        signal.throwIfAborted();
        const page = await pages.next();
        if (page.done) return page.value;
        const events = page.value.map((row, ordinal) => {
          const subject = subjectOf(relation, row);
          return upsertOf({ relation, subject, row, place, ordinal, op: "read" });
        });
        if (events.length > 0) yield events;
      }
    };
    for (const { oid } of await published(session, context))
      for (let isWhole = false; !isWhole;) {
        const table = (await published(session, context)).find((one) => one.oid === oid);
        isWhole = table === undefined || (yield* eventsOf(table));
      }
  } finally {
    await session.close();
  }
}

/** The tables as they are published; before the first start, as they are captured. */
async function published(session: Session, context: Context<Options>): Promise<readonly Table[]> {
  const { config } = context;
  const { tables, findings } = await capturedTables(session, config);
  stopAtErrors(findings);
  const compared = await comparePublication(session, config, namesOf(config, context), tables);
  const carried = compared.tables.filter(({ membership }) => membership !== undefined);
  return carried.length > 0 ? carried : tables;
}

/** Pages of rows; ends with false when the table is not what it was. */
async function* rowsIn(
  session: Session,
  table: Table,
  chunkRows: number,
): AsyncGenerator<readonly Tuple[], boolean> {
  if (table.key.length === 0) return yield* rowsWithoutKey(session, table);
  for (let after: readonly string[] | null = null; ;) {
    const read = await readRange(session, table, { after, upto: null, limit: chunkRows });
    if (!read) return false;
    const { rows, isLast } = read;
    yield rows;
    const last = rows.at(-1);
    if (isLast || !last) return true;
    const places = table.key.map(({ name }) => table.columns.findIndex((one) => one.name === name));
    after = places.map((at) => last[at] ?? "");
  }
}

async function* rowsWithoutKey(
  session: Session,
  table: Table,
): AsyncGenerator<readonly Tuple[], boolean> {
  const where = table.where === undefined ? "" : `WHERE (${table.where})`;
  const names = table.columns.map(({ name }) => quoted(name)).join(", ");
  await session.query("BEGIN READ ONLY");
  try {
    await session.query(
      `DECLARE scanned NO SCROLL CURSOR FOR SELECT ${names} FROM ${rowsOf(table)} ${where}`,
    );
    if (!(await isUnchanged(session, table))) return false;
    for (;;) {
      const rows = await session.query(`FETCH ${maxRows} FROM scanned`);
      if (rows.length === 0) return true;
      yield rows;
    }
  } finally {
    await session.query("ROLLBACK");
  }
}
