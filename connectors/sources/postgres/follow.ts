import { setMaxListeners } from "node:events";
import { setInterval } from "node:timers/promises";
import type { SourceBatch, SourceContext, StateWrite } from "sluice";
import { openAcknowledger } from "./stream/acknowledge.ts";
import { gather } from "./stream/batch.ts";
import { nameOf, openCaptured } from "./stream/captured.ts";
import type { Options } from "./config.ts";
import { openMarkers } from "./stream/markers.ts";
import { namesOf } from "./setup/names.ts";
import { openOrders } from "./snapshot/orders.ts";
import { findStart, type Position } from "./position.ts";
import { openReader } from "./stream/reader.ts";
import { forgetRuns, markCopied, needKey, recallNames, recallRun } from "./snapshot/runs.ts";
import { openScheduler } from "./snapshot/scheduler.ts";
import { openSession } from "./session.ts";
import { prepare } from "./setup/setup.ts";
import { comparePublication, ensurePublication } from "./setup/publication.ts";
import { dropSlot, readOrigin } from "./setup/slot.ts";
import { capturedTables } from "./setup/tables.ts";
import { walBudget, walSampler } from "./setup/wal-budget.ts";
import { loadTypes } from "./values/types.ts";
import { trackDelivered } from "./snapshot/visibility.ts";
import { openWindow } from "./snapshot/window.ts";
import { decode } from "./wire/decode.ts";
import { openReplication } from "./wire/replication.ts";

/** The stream confirms by itself too, but seldom; this lets the server free its log soon. */
const tellEveryMs = 1_000;
const lookEveryMs = 60_000;
/** Positions without events are stored this seldom: each is a write. */
const idleCheckpointMs = 1_000;
const maxDelivered = 50_000;

/** Follows the database: one stream, in which snapshots have their places too. */
export async function* follow(
  context: SourceContext<Options, Position>,
): AsyncGenerator<SourceBatch<Position>> {
  const { config, name, state, checkpoint, log, progress } = context;
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  setMaxListeners(0, signal); // sessions and markers listen while they last
  const closers: (() => Promise<void>)[] = [];
  const opened = <T extends { readonly close: () => Promise<void> }>(one: T): T => {
    closers.push(one.close);
    return one;
  };
  const names = namesOf(config, name);
  const { slot } = names;
  try {
    const connect = async () => opened(await openSession(config, { name, signal }));
    const session = await connect();
    if (checkpoint?.isDone) {
      if (config.setup) await dropSlot(session, slot);
      return;
    }
    const replication = opened(await openReplication(config, { name, signal }));
    const server = await readOrigin(replication);
    const { database } = server;
    const prepared = await prepare(session, config, names, log);

    const [unfinished, copied, needed, [epoch]] = await Promise.all([
      recallRun(state),
      recallNames(state, "copied/"),
      recallNames(state, "need/"),
      state.get(["epoch"]),
    ]);
    const start = await findStart({
      config,
      slot,
      stored: checkpoint,
      isUnfinished: config.snapshot !== "never" && copied.size === 0,
      lastEpoch: typeof epoch?.value === "number" ? epoch.value : 0,
      session,
      replication,
      server,
      log,
      signal,
    });
    const position = start.position;
    if (start.isNew) {
      const writes: StateWrite[] = [
        ...(await forgetRuns(state)),
        { key: "epoch", value: position.epoch },
      ];
      copied.clear();
      needed.clear();
      if (config.snapshot === "never")
        for (const table of prepared.tables.map(nameOf)) {
          writes.push(markCopied(table));
          copied.add(table);
        }
      yield { events: [], checkpoint: position, writes };
    }

    // Its own: setting up is a transaction, and nothing else may get into it.
    const watcher = await connect();
    const list = async () => {
      const { tables } = await capturedTables(session, config);
      return (await comparePublication(session, config, names, tables)).tables;
    };
    const publish = async () => {
      if (!config.setup) return [];
      const verify = async () => (await capturedTables(watcher, config)).findings;
      const { tables } = await capturedTables(watcher, config);
      return (await ensurePublication(watcher, names, tables, { log, verify })).changed.map(nameOf);
    };
    const types = await loadTypes(session, log);
    const orders = openOrders();
    const batch = gather();
    const captured = await openCaptured({
      session,
      state,
      types,
      isNew: start.isNew,
      list,
      relations: { database, maxValueBytes: config.maxValueBytes },
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
    const reader = openReader({
      start: position,
      batch,
      captured,
      delivered,
      messagePrefixes: config.messages,
    });
    const acknowledger = openAcknowledger({ from: reader.lsn(), settled: context.settled, log });
    const stream = opened(
      await replication.start({
        slot,
        from: reader.lsn(),
        publication: prepared.publications,
        confirmed: acknowledger.confirmed,
        signal,
      }),
    );

    let isSnapshotting = false;
    const tell = () => {
      const bytes = Number(stream.serverEnd() - reader.lsn());
      progress({ phase: "streaming", ...(bytes > 0 && { lag: `${bytes} bytes` }) });
    };
    let isThrough = false;
    const scheduler = openScheduler({
      config,
      database,
      session,
      state,
      captured,
      orders,
      copied,
      unfinished: unfinished?.run.epoch === position.epoch ? unfinished : undefined,
      publish,
      snapshotting: (is) => {
        isSnapshotting = is;
        if (!is) tell();
      },
      through: () => (isThrough = true),
      log,
      run: {
        openSession: connect,
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
    let fail: (error: unknown) => void = () => undefined;
    const failed = new Promise<never>((_, reject) => (fail = reject));
    failed.catch(() => undefined); // raced below
    const background = (work: Promise<void>) => void work.catch(fail);
    background(scheduler.work());
    background(scheduler.listen(context.requests));
    background(every(lookEveryMs, scheduler.look));
    const sample = walSampler(slot, log);
    background(
      every(lookEveryMs, async () => {
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
      let seen = reader.lsn();
      background(
        every(config.heartbeatMs, async () => {
          const lsn = reader.lsn();
          if (lsn === seen)
            await session.query("SELECT pg_logical_emit_message(false, $1, 'heartbeat')", [
              markers.prefix,
            ]);
          seen = lsn;
        }),
      );
    } else
      log.warn(
        {},
        "no heartbeats: while the captured tables are idle, the server keeps all its WAL",
      );

    let storedAt = performance.now();
    let stored = reader.lsn();
    const flush = async (): Promise<SourceBatch<Position>> => {
      const checkpoint = isThrough ? { ...reader.position(), isDone: true } : reader.position();
      [stored, storedAt] = [reader.lsn(), performance.now()];
      return { checkpoint, ...(await batch.take(session, signal)) };
    };
    const acknowledge = () => acknowledger.stored(stored);
    log.info({ slot, lsn: position.lsn, tables: captured.tables().length }, "streaming");
    for (;;) {
      const page = await Promise.race([stream.take(), failed]);
      for (let at = 0; at < page.count; at++) {
        const [from = 0, to = 0] = [page.offsets[2 * at], page.offsets[2 * at + 1]];
        const message = decode(page.bytes, from, to);
        const wait = reader.handle(message, to - from);
        if (wait) await wait;
        if (message.kind === "message" && message.prefix === markers.prefix) {
          const place = reader.markerPlace();
          const handle = markers.reached(message.content.toString());
          if (place && handle)
            for (const group of handle(place)) {
              if (!batch.fits(group) && !batch.isEmpty()) {
                yield await flush();
                acknowledge();
              }
              batch.addGroup(group);
            }
        }
        if (batch.isFull()) {
          yield await flush();
          acknowledge();
        }
      }
      const isIdleLong = reader.lsn() > stored && performance.now() - storedAt > idleCheckpointMs;
      if (!batch.isEmpty() || isIdleLong || isThrough) {
        yield await flush();
        acknowledge();
      }
      if (isThrough) {
        await stream.close();
        if (config.setup) await dropSlot(session, slot);
        return;
      }
      if (delivered.size() > maxDelivered) {
        const [[snapshot] = []] = await session.query("SELECT pg_current_snapshot()");
        delivered.forget(snapshot ?? "");
      }
    }

    async function every(ms: number, work: () => Promise<void>): Promise<void> {
      for await (const _ of setInterval(ms, undefined, { signal, ref: false })) await work();
    }
  } finally {
    stop.abort();
    await Promise.allSettled(closers.map((close) => close()));
  }
}
