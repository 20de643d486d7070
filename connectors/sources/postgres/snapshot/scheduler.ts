import { once } from "node:events";
import {
  SluiceError,
  version,
  type Log,
  type SnapshotRequest,
  type SourceContext,
  type StateStore,
} from "sluice";
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
  markPassedOver,
  takeSnapshot,
  type RunContext,
  type Unfinished,
} from "./runs.ts";
import type { Needs } from "./needs.ts";

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
  readonly needs: Needs;
  readonly copied: Set<string>;
  readonly unfinished: Unfinished | undefined;
  /** `snapshot: "only"` was through, and there is a request. */
  readonly isAsked: boolean;
  readonly run: RunContext;
  /** A snapshot runs from now on, or none does. */
  readonly snapshotting: (is: boolean) => void;
  /** Called at the place in the stream where `snapshot: "only"` is through. */
  readonly through: () => void;
  readonly refuse: SourceContext<unknown, unknown>["refuse"];
  readonly log: Log;
}): Scheduler {
  const { config, database, state, captured, orders, needs, copied, unfinished, run, log } =
    context;
  const { session } = database;
  const { markers, epoch, signal } = run;
  const asked = new Set<string>();
  const heard = new AbortController();
  const running = new Set<string>();
  /** What was last told of tables that are not there, or not whole. */
  const told = new Map<string, string>();
  if (unfinished?.run.request !== undefined) asked.add(unfinished.run.request);

  const take = async (todo: Parameters<typeof takeSnapshot>[0]) => {
    const what = "run" in todo ? todo.run : todo;
    const { reason, tables, audience } = what;
    log.info(
      { reason, tables: tables.length, audience, resumed: "run" in todo },
      "snapshot begins",
    );
    context.snapshotting(true);
    if (audience === undefined) for (const name of tables) running.add(name);
    const taken = await takeSnapshot(todo, run);
    running.clear();
    context.snapshotting(false);
    if (audience === undefined) for (const name of taken) copied.add(name);
    needs.look();
    log.info({ reason, tables: tables.length, audience }, "snapshot complete");
  };

  return {
    work: async () => {
      for (const name of unfinished?.run.tables ?? []) running.add(name);
      for (const [name, why] of captured.outdated())
        if (copied.has(name) || running.has(name)) needs.add(name, why);
      if (unfinished) await take(unfinished);
      const added = captured
        .tables()
        .map(shown)
        .filter((name) => !copied.has(name));
      if (config.snapshot === "never") {
        await state.each([...added.map(markPassedOver), ...needs.met(added)]);
        for (const name of added) copied.add(name);
      } else if (added.length > 0)
        await take({ reason: copied.size === 0 ? "initial" : "added", tables: added });
      context.snapshotting(false);
      if (config.snapshot === "only") {
        if (context.isAsked) await untilHeard(signal);
        while (!orders.isEmpty()) await take(await orders.next(signal));
        return markers.reach(
          session,
          function* () {
            context.through();
          },
          signal,
        );
      }
      for (;;) await take(await orders.next(signal));
    },
    listen: async (requests) => {
      for await (const { id, collections, audience } of requests) {
        if (asked.has(id)) continue;
        asked.add(id);
        const all = captured.tables().map(shown);
        const unknown = (collections ?? []).filter((text) => matching(text).length === 0);
        if (unknown.length > 0) {
          await context.refuse(id, notCaptured(unknown, all));
          heard.abort();
          continue;
        }
        const tables = collections ? [...new Set(collections.flatMap(matching))] : all;
        orders.add({
          reason: "requested",
          tables,
          request: id,
          ...(audience !== undefined && { audience }),
        });
        heard.abort();
      }
    },
    look: async () => {
      const changed = await database.publish();
      await captured.refresh();
      for (const name of changed) if (copied.has(name)) needs.add(name, "its publication changed");
      compare();
      for (const name of copied) await missing(name);
    },
  };

  /** The first request was ordered, or refused. */
  async function untilHeard(until: AbortSignal): Promise<void> {
    const either = AbortSignal.any([until, heard.signal]);
    if (!either.aborted) await once(either, "abort");
    until.throwIfAborted();
  }

  function matching(text: string): readonly string[] {
    const { entries } = parseEntries([text]);
    return captured
      .tables()
      .filter((table) => entryFor(entries, table))
      .map(shown);
  }

  /** What the catalog says that the stream did not, or will not. */
  function compare(): void {
    const lost = new Map(captured.lostPartitions());
    for (const name of captured.tables().map(shown)) {
      if (!lost.has(name)) told.delete(name);
      if (config.snapshot === "never" || copied.has(name) || running.has(name)) continue;
      if (!orders.has(name)) orders.add({ reason: "added", tables: [name] });
    }
    for (const [name, why] of captured.outdated()) if (copied.has(name)) needs.add(name, why);
    for (const [name, partitions] of lost) {
      if (!isNews(name, partitions.join(" "))) continue;
      log.warn(
        { table: name, partitions },
        "partitions were dropped or detached: their rows went without an event, and `sluice snapshot` removes their records",
      );
      if (config.onTableDropped === "remove") needs.add(name, "partitions are gone");
    }
    for (const [name, { code, message, fix }] of captured.stopped())
      if (code === "postgres.publication-lacks-table" && !copied.has(name) && isNews(name, message))
        log.warn({ table: name, code, message, fix }, "a table waits until it is published");
  }

  /** Not what was last told of the table. */
  function isNews(name: string, what: string): boolean {
    const before = told.get(name);
    told.set(name, what);
    return before !== what;
  }

  async function missing(name: string): Promise<void> {
    if (captured.table(name)) return;
    const stopped = captured.stopped().get(name);
    if (!isNews(name, stopped?.message ?? "gone")) return;
    if (stopped) {
      const { code, message, fix } = stopped;
      log.warn({ table: name, code, message, fix }, "a captured table stops: its records stay");
      return needs.add(name, "it could not be captured for a while");
    }
    if (config.onTableDropped === "remove") return drop(name);
    log.warn(
      { table: name },
      'a captured table is gone: its records stay ("onTableDropped": "remove" removes them)',
    );
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
            captured.forget(name),
            ...needs.met([name]),
          ],
        };
        copied.delete(name);
      },
      signal,
    );
  }
}

function notCaptured(unknown: readonly string[], tables: readonly string[]): SluiceError {
  const some = tables.slice(0, 20).join(", ");
  const more = tables.length > 20 ? `, and ${tables.length - 20} more` : "";
  return new SluiceError(`postgres: no captured table is ${unknown.join(" or ")}.`, {
    code: "postgres.not-captured",
    fix:
      tables.length === 0
        ? "No table is captured: see `sluice check`."
        : `Name what is captured: ${some}${more}.`,
  });
}
