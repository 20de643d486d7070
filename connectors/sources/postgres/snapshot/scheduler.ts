import { version, type Log, type SnapshotRequest, type StateStore } from "sluice";
import type { Captured } from "../stream/captured.ts";
import { shown } from "../setup/identifier.ts";
import type { Options } from "../config.ts";
import type { Database } from "../database.ts";
import { clearOf, placeOf, sourceOf } from "../stream/events.ts";
import { formatLsn } from "../lsn.ts";
import type { Orders } from "./orders.ts";
import { entryFor, parseEntries } from "../setup/pattern.ts";
import {
  copiedKey,
  markCopied,
  needKey,
  takeSnapshot,
  type RunContext,
  type Unfinished,
} from "./runs.ts";
import { shapeKey } from "../stream/captured.ts";

export interface Scheduler {
  /** Takes one snapshot after the other; ends on abort, or after the first with `snapshot: "only"`. */
  readonly work: () => Promise<void>;
  /** Turns the runner's requests into orders; ends on abort. */
  readonly listen: (requests: AsyncIterable<SnapshotRequest>) => Promise<void>;
  /** Looks for tables that came, went, or lost a partition. */
  readonly look: () => Promise<void>;
}

export function openScheduler(context: {
  readonly config: Options;
  readonly database: Pick<Database, "server" | "session" | "publish">;
  readonly state: StateStore;
  readonly captured: Captured;
  readonly orders: Orders;
  readonly copied: Set<string>;
  readonly unfinished: Unfinished | undefined;
  readonly run: RunContext;
  /** A snapshot runs from now on, or none does. */
  readonly snapshotting: (is: boolean) => void;
  /** Called at the place in the stream where `snapshot: "only"` is through. */
  readonly through: () => void;
  readonly log: Log;
}): Scheduler {
  const { config, database, state, captured, orders, copied, unfinished, run, log } = context;
  const { session } = database;
  const { markers, epoch, signal } = run;
  const asked = new Set<string>();
  const gone = new Set<string>();
  let partitions = partitionsOf(captured);
  if (unfinished?.run.request !== undefined) asked.add(unfinished.run.request);

  const take = async (todo: Parameters<typeof takeSnapshot>[0]) => {
    const what = "run" in todo ? todo.run : todo;
    const { reason, tables, audience } = what;
    log.info(
      { reason, tables: tables.length, audience, resumed: "run" in todo },
      "snapshot begins",
    );
    context.snapshotting(true);
    await takeSnapshot(todo, run);
    context.snapshotting(false);
    if (audience === undefined) for (const name of tables) copied.add(name);
    log.info({ reason, tables: tables.length, audience }, "snapshot complete");
  };

  return {
    work: async () => {
      if (unfinished) await take(unfinished);
      const added = captured
        .tables()
        .map(shown)
        .filter((name) => !copied.has(name));
      if (config.snapshot === "never") {
        await state.each(added.map(markCopied));
        for (const name of added) copied.add(name);
      } else if (added.length > 0)
        await take({ reason: copied.size === 0 ? "initial" : "added", tables: added });
      context.snapshotting(false);
      if (config.snapshot === "only")
        return markers.reach(
          session,
          function* () {
            context.through();
          },
          signal,
        );
      for (;;) await take(await orders.next(signal));
    },
    listen: async (requests) => {
      for await (const { id, collections, audience } of requests) {
        if (asked.has(id)) continue;
        asked.add(id);
        const { entries } = parseEntries([...(collections ?? [])]);
        const tables = captured
          .tables()
          .filter((table) => !collections || entryFor(entries, table))
          .map(shown);
        if (tables.length === 0)
          log.warn({ collections }, "a snapshot was asked for that names no captured table");
        orders.add({
          reason: "requested",
          tables,
          request: id,
          ...(audience !== undefined && { audience }),
        });
      }
    },
    look: async () => {
      await captured.refresh();
      for (const name of await database.publish()) if (copied.has(name)) await need(name);
      const present = new Set(captured.tables().map(shown));
      for (const name of present) {
        gone.delete(name);
        if (config.snapshot !== "never" && !copied.has(name) && !orders.has(name))
          orders.add({ reason: "added", tables: [name] });
      }
      for (const name of copied) {
        if (present.has(name) || gone.has(name)) continue;
        gone.add(name);
        if (config.onTableDropped === "keep")
          log.warn(
            { table: name },
            'a captured table is gone: its records stay ("onTableDropped": "remove" removes them)',
          );
        else await drop(name);
      }
      const before = partitions;
      partitions = partitionsOf(captured);
      for (const [name, leaves] of before) {
        const lost = [...leaves].filter(
          (leaf) => partitions.has(name) && !partitions.get(name)?.has(leaf),
        );
        if (lost.length === 0) continue;
        log.warn(
          { table: name, partitions: lost },
          "partitions were dropped or detached: their rows went without an event",
        );
        if (config.onTableDropped === "remove") {
          await need(name);
        }
      }
    },
  };

  async function need(name: string): Promise<void> {
    if (orders.has(name)) return;
    await state.each([{ key: needKey(name), value: true }]);
    orders.add({ reason: "changed", tables: [name] });
  }

  async function drop(name: string): Promise<void> {
    const [entry] = parseEntries([name]).entries;
    if (!entry) return; // shown() makes names that parse
    const source = sourceOf(database.server.database, {
      schema: entry.schema.text,
      name: entry.table.text,
    });
    await markers.reach(
      session,
      function* ({ lsn, time }) {
        const place = placeOf({ epoch, lsn, rank: 0, time, meta: { lsn: formatLsn(lsn) } });
        yield {
          events: [
            clearOf({
              source,
              reason: "drop",
              below: version({ epoch, position: lsn, rank: 0, tail: 0 }),
              place,
            }),
          ],
          writes: [
            { key: copiedKey(name), value: undefined },
            { key: shapeKey(name), value: undefined },
          ],
        };
        copied.delete(name);
      },
      signal,
    );
  }
}

function partitionsOf(captured: Captured): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map(
    captured
      .tables()
      .filter(({ kind }) => kind === "partitioned")
      .map((table) => [shown(table), new Set(table.partitions.map(shown))]),
  );
}
