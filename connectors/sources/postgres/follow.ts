import { setMaxListeners } from "node:events";
import { setInterval } from "node:timers/promises";
import type { SourceBatch, SourceContext } from "sluice";
import type { Options } from "./config.ts";
import { openDatabase } from "./database.ts";
import { recall } from "./memory.ts";
import type { Position } from "./position.ts";
import { pump } from "./pump.ts";
import { openSession } from "./session.ts";
import { dropSlot } from "./setup/slot.ts";
import { walBudget, walSampler } from "./setup/wal-budget.ts";
import { openOrders } from "./snapshot/orders.ts";
import { needKey } from "./snapshot/runs.ts";
import { openScheduler } from "./snapshot/scheduler.ts";
import { trackDelivered } from "./snapshot/visibility.ts";
import { openWindow } from "./snapshot/window.ts";
import { openAcknowledger } from "./stream/acknowledge.ts";
import { gather } from "./stream/batch.ts";
import { openCaptured } from "./stream/captured.ts";
import { openMarkers } from "./stream/markers.ts";
import { openReader } from "./stream/reader.ts";
import { loadTypes } from "./values/types.ts";

/** The stream confirms by itself too, but seldom; this lets the server free its log soon. */
const tellEveryMs = 1_000;
const lookEveryMs = 60_000;

/** Follows the database: one stream, in which snapshots have their places too. */
export async function* follow(
  context: SourceContext<Options, Position>,
): AsyncGenerator<SourceBatch<Position>> {
  const { config, name, state, checkpoint, log, progress } = context;
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  setMaxListeners(0, signal); // sessions and markers listen while they last
  const run = { name, log, signal };
  const database = await openDatabase(config, run);
  try {
    const { session, watcher, replication, names } = database;
    // A full stream that nobody reads notices nothing, and would hold up a server that shuts down.
    for (const { lost } of [session, watcher])
      lost.addEventListener("abort", () => stop.abort(lost.reason), { once: true });
    const { slot } = names;
    if (checkpoint?.isDone) {
      if (config.setup) await dropSlot(session, slot);
      return;
    }
    const memory = await recall(config, database, { stored: checkpoint, state, log, signal });
    const { position, isNew, writes, copied, needed, unfinished } = memory;
    if (isNew) yield { events: [], checkpoint: position, writes };

    const orders = openOrders();
    const batch = gather();
    const captured = await openCaptured({
      session,
      state,
      types: await loadTypes(session, log),
      isNew,
      list: database.list,
      relations: { database: database.server.database, maxValueBytes: config.maxValueBytes },
      onSchemaChange: config.onSchemaChange,
      resnapshot: (table, why, batch) => {
        if (orders.has(table)) return;
        log.warn({ table, why }, "the table is read again");
        batch.write({ key: needKey(table), value: true });
        orders.add({ reason: "changed", tables: [table] });
      },
      log,
    });
    for (const table of needed)
      if (captured.table(table)) orders.add({ reason: "changed", tables: [table] });

    const delivered = trackDelivered();
    const markers = openMarkers(slot);
    const keyless = new Set<string>();
    const reader = openReader({
      start: position,
      batch,
      captured,
      delivered,
      messagePrefixes: config.messages,
      keyless: (source) => {
        if (!keyless.has(source))
          log.warn({ source }, "rows with a NULL in their key are left out");
        keyless.add(source);
        context.meter("postgres_rows_without_key", 1, { source });
        return undefined;
      },
    });
    const acknowledger = openAcknowledger({ from: reader.lsn(), settled: context.settled, log });
    const stream = await replication.start({
      slot,
      from: reader.lsn(),
      publication: database.publications,
      confirmed: acknowledger.confirmed,
      signal,
    });

    let isSnapshotting = false;
    let isThrough = false;
    const tell = () => {
      const bytes = Number(stream.serverEnd() - reader.lsn());
      progress({ phase: "streaming", ...(bytes > 0 && { lag: `${bytes} bytes` }) });
    };
    const scheduler = openScheduler({
      config,
      database,
      state,
      captured,
      orders,
      copied,
      unfinished,
      snapshotting: (is) => {
        isSnapshotting = is;
        if (!is) tell();
      },
      through: () => (isThrough = true),
      log,
      run: {
        openSession: () => openSession(config, run),
        markers,
        delivered,
        epoch: position.epoch,
        chunkRows: config.chunkRows,
        parallelTables: config.parallelTables,
        signal,
        table: async (name) => {
          await captured.refresh();
          return captured.table(name);
        },
        relationOf: captured.snapshotRelation,
        watch: captured.watch,
        openWindow,
        estimate: (name) => captured.table(name)?.estimatedRows ?? 0,
        progress: (done, total) => progress({ phase: "snapshot", done, total }),
      },
    });

    // What fails beside the stream ends it, with the same error.
    const background = (work: Promise<void>) =>
      void work.catch((error: unknown) => stop.abort(error));
    const every = async (ms: number, work: () => Promise<void>) => {
      for await (const _ of setInterval(ms, undefined, { signal, ref: false })) await work();
    };
    background(scheduler.work());
    background(scheduler.listen(context.requests));
    const sample = walSampler(slot, log);
    background(
      every(lookEveryMs, async () => {
        await scheduler.look();
        const budget = await walBudget(watcher, slot);
        if (budget) sample(budget);
      }),
    );
    let told = acknowledger.confirmed();
    background(
      every(tellEveryMs, async () => {
        if (!isSnapshotting) tell();
        if (acknowledger.confirmed() === told) return;
        told = acknowledger.confirmed();
        stream.confirm();
      }),
    );
    if (config.heartbeatMs > 0) {
      const beat = "SELECT pg_logical_emit_message(false, $1, 'heartbeat')";
      let seen = reader.lsn();
      background(
        every(config.heartbeatMs, async () => {
          if (reader.lsn() === seen) await session.query(beat, [markers.prefix]);
          seen = reader.lsn();
        }),
      );
    } else
      log.warn({}, "no heartbeats: while the captured tables are idle, the server keeps its log");

    log.info({ slot, lsn: position.lsn, tables: captured.tables().length }, "streaming");
    const parts = { stream, reader, batch, markers, delivered, acknowledger, session, signal };
    yield* pump({ ...parts, isThrough: () => isThrough });
    // `snapshot: "only"`: nobody will read the slot again.
    await stream.close();
    if (config.setup) await dropSlot(session, slot);
  } finally {
    stop.abort();
    await database.close();
  }
}
