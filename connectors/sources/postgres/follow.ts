import { setMaxListeners } from "node:events";
import type { SourceBatch, SourceContext } from "sluice";
import { oncePresent } from "./asked.ts";
import { keepMoving, openBeside, watchBudget } from "./beside.ts";
import type { Options } from "./config.ts";
import { openDatabase } from "./database.ts";
import { recall } from "./memory.ts";
import type { Position } from "./position.ts";
import { pump } from "./pump.ts";
import { openSession } from "./session.ts";
import { namesOf } from "./setup/names.ts";
import { toGap } from "./setup/publication.ts";
import { dropSlot } from "./setup/slot.ts";
import { openOrders } from "./snapshot/orders.ts";
import { openNeeds, type Needs } from "./snapshot/needs.ts";
import { needKey } from "./snapshot/runs.ts";
import { estimateRows } from "./snapshot/estimate.ts";
import { openScheduler } from "./snapshot/scheduler.ts";
import { trackDelivered, waitingForStandby } from "./snapshot/visibility.ts";
import { openWindow } from "./snapshot/window.ts";
import { openAcknowledger } from "./stream/acknowledge.ts";
import { gather } from "./stream/batch.ts";
import { openCaptured, type Captured } from "./stream/captured.ts";
import { openMarkers, type Group, type MarkerPlace } from "./stream/markers.ts";
import { openReader } from "./stream/reader.ts";
import { sqlState } from "./wire/refusals.ts";
import { loadTypes } from "./values/types.ts";

/** How often the catalog is compared with what is captured, and the budget of log looked at. No option: a test's hand. */
export interface Pace {
  readonly lookEveryMs: number;
}
const usual: Pace = { lookEveryMs: 60_000 };
/** What is asked of a source that had ended is told it at once. */
const requestWithinMs = 2_000;

/** Follows the database: one stream, in which snapshots have their places too. */
export async function* follow(
  context: SourceContext<Options, Position>,
  pace: Pace = usual,
): AsyncGenerator<SourceBatch<Position>> {
  const { checkpoint, config, requests, signal } = context;
  let from = checkpoint;
  let asked: SourceContext<Options, Position>["requests"] | undefined;
  if (checkpoint?.isDone && config.snapshot === "only") {
    asked = await oncePresent(requests, requestWithinMs, signal);
    if (!asked) return await leave(context);
  }
  // It was told to end, and is told something else now.
  if (checkpoint?.isDone) from = undefined;
  for (const isAsked = asked !== undefined; ;) {
    const run = { ...context, requests: asked ?? requests, checkpoint: from };
    const next = yield* stream(run, { ...pace, isAsked });
    if (!next) return;
    from = next;
  }
}

/** It had ended: a crash may have kept it from dropping its slot. */
async function leave(context: SourceContext<Options, Position>): Promise<void> {
  const { config } = context;
  if (!config.setup) return;
  const session = await openSession(config, context);
  try {
    await dropSlot(session, namesOf(config, context).slot);
  } finally {
    await session.close();
  }
}

/**
 * Streams until it is told to stop. Or, where a publication was made just now, up to there without it,
 * for log from before cannot be read through it; returns where to go on then.
 */
async function* stream(
  context: SourceContext<Options, Position>,
  { lookEveryMs, isAsked }: Pace & { readonly isAsked: boolean },
): AsyncGenerator<SourceBatch<Position>, Position | undefined> {
  const { config, name, project, state, checkpoint, log, progress } = context;
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  setMaxListeners(0, signal); // sessions and markers listen while they last
  const run = { name, project, log, signal };
  const changing = async (tables: readonly string[]) =>
    void (await state.each(tables.map((name) => ({ key: needKey(name), value: true }))));
  const database = await openDatabase(config, { ...run, changing });
  try {
    const { session, watcher, replication, names } = database;
    // A full stream that nobody reads notices nothing, and would hold up a server that shuts down.
    for (const { lost } of [session, watcher])
      lost.addEventListener("abort", () => stop.abort(lost.reason), { once: true });
    const { slot } = names;
    const memory = await recall(config, database, {
      stored: checkpoint,
      state,
      isAsked: isAsked && checkpoint === undefined,
      log,
      signal,
    });
    const { position, isNew, writes, copied, needed, unfinished } = memory;
    if (isNew) yield { events: [], checkpoint: position, writes };
    const publications = database.publications.filter(
      (name) => isNew || !database.created.includes(name),
    );
    const isLate = publications.length < database.publications.length;
    if (publications.length === 0) {
      // Every table is read anew.
      const [[lsn = null] = []] = await session.query("SELECT pg_current_wal_insert_lsn()");
      const { at: _, ...rest } = position;
      const next = { ...rest, lsn: lsn ?? position.lsn };
      const writes = [...needed].map((name) => ({ key: needKey(name), value: true }));
      yield { events: [], checkpoint: next, writes };
      return next;
    }

    const orders = openOrders();
    const batch = gather();
    const needs: Needs = openNeeds({
      known: needed,
      orders,
      isThere: (table) => captured.table(table) !== undefined,
      write: batch.write,
      log,
    });
    const captured: Captured = await openCaptured({
      session,
      state,
      batch,
      types: await loadTypes(session, log),
      isNew,
      list: database.list,
      relations: { database: database.server.database, maxValueBytes: config.maxValueBytes },
      onSchemaChange: config.onSchemaChange,
      resnapshot: needs.add,
      refreshed: needs.look,
      log,
    });
    needs.look();

    const delivered = trackDelivered();
    if (!isNew) for (const xid of await waitingForStandby(session)) delivered.add(xid);
    const markers = openMarkers(slot);
    const keylessSources = new Set<string>();
    const keyless = (source: string, rows: number) => {
      if (!keylessSources.has(source))
        log.warn({ source, rows }, "rows with a NULL in their key are left out");
      keylessSources.add(source);
      context.meter("postgres_rows_without_key", rows, { source });
    };
    const reader = openReader({
      start: position,
      batch,
      captured,
      delivered,
      messagePrefixes: config.messages,
      keyless: (source) => keyless(source, 1),
    });
    const acknowledger = openAcknowledger({ from: reader.lsn(), settled: context.settled, log });
    const wal = await replication.start({
      slot,
      from: reader.lsn(),
      publication: publications,
      confirmed: acknowledger.confirmed,
      signal,
    });
    for (const { code, message, fix } of database.warnings) log.warn({ code, fix }, message);

    const asked = new Set<string>();
    let isSnapshotting = false;
    let isThrough = false;
    const tell = () => {
      const bytes = Math.max(0, Number(wal.serverEnd() - reader.lsn()));
      const lag = bytes > 0 && { lag: `${bytes} bytes` };
      progress({ phase: "streaming", ...lag, lagBytes: bytes });
    };
    const scheduler = openScheduler({
      config,
      database,
      state,
      captured,
      orders,
      needs,
      copied,
      unfinished,
      isAsked,
      snapshotting: (is) => {
        isSnapshotting = is;
        if (!is) tell();
      },
      through: () => (isThrough = true),
      refuse: context.refuse,
      log,
      run: {
        openSession: () => openSession(config, run),
        keyless,
        markers,
        delivered,
        epoch: position.epoch,
        chunkRows: config.chunkRows,
        parallelTables: config.parallelTables,
        signal,
        table: async (name) => {
          // The catalog is read for all tables at once: anew when one of them is asked for again.
          if (asked.has(name)) {
            asked.clear();
            await captured.refresh();
          }
          asked.add(name);
          return captured.table(name);
        },
        recast: async (tables) => {
          const cast = await captured.recast(tables);
          return () => [...cast(), ...needs.met(tables)];
        },
        isOutdated: (name) => captured.outdated().some(([other]) => other === name),
        missed: needs.missed,
        relationOf: captured.snapshotRelation,
        watch: captured.watch,
        openWindow,
        estimate: async (session, name) => {
          const table = captured.table(name);
          return table ? estimateRows(session, table) : 0;
        },
        progress: (done, total) => progress({ phase: "snapshot", done, total }),
      },
    });

    const beside = openBeside({ signal, fail: (error) => stop.abort(error) });
    keepMoving(beside, {
      stream: wal,
      reader,
      acknowledger,
      session,
      heartbeatMs: config.heartbeatMs,
      prefix: markers.prefix,
      tell: () => {
        if (!isSnapshotting) tell();
      },
      log,
    });
    watchBudget(beside, { everyMs: lookEveryMs, session: watcher, slot, log });
    let until: bigint | undefined;
    // At once and not when the promise is settled: the next page may be long in coming.
    const passed = function* ({ lsn }: MarkerPlace): Generator<Group, void> {
      until = lsn;
    };
    if (isLate) beside.run(markers.reach(session, passed, signal));
    else {
      beside.run(scheduler.work());
      beside.run(scheduler.listen(context.requests));
      beside.every(lookEveryMs, () =>
        scheduler.look().catch((error: unknown) => {
          if (sqlState(error) !== "57014") throw error;
          log.warn({ error }, "the catalog could not be read in time, for a table is locked");
        }),
      );
    }

    log.info({ slot, lsn: position.lsn, tables: captured.tables().length }, "streaming");
    const parts = { stream: wal, reader, batch, markers, delivered, acknowledger, session, signal };
    const isPassed = () => until !== undefined && reader.lsn() > until;
    yield* isLate
      ? pump({ ...parts, isThrough: isPassed, last: {} })
      : pump({ ...parts, isThrough: () => isThrough, last: { isDone: true } });
    await wal.close();
    if (isLate) return reader.position();
    // `snapshot: "only"`: nobody will read the slot again.
    if (config.setup) await dropSlot(session, slot);
    return undefined;
  } catch (error) {
    throw toGap(error, checkpoint?.lsn ?? "the start");
  } finally {
    stop.abort();
    await database.close();
  }
}
