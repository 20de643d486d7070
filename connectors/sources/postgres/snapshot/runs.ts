import { randomUUID } from "node:crypto";
import { version, z, type StateStore, type StateWrite } from "sluice";
import { copyTable, type CopyProgress, type CopyRun } from "./copy.ts";
import { clearOf } from "../stream/events.ts";
import { formatLsn, parseLsn } from "../lsn.ts";
import type { Session } from "../session.ts";
import { copyWhole } from "./copy-whole.ts";

/** A snapshot to take while the stream goes on. */
export interface SnapshotOrder {
  readonly reason: "initial" | "added" | "changed" | "requested";
  /** Names as `schema.table`. */
  readonly tables: readonly string[];
  /** The request that it answers, and to whom. */
  readonly request?: string;
  readonly audience?: string;
}

const storedRun = z.object({
  id: z.string(),
  reason: z.enum(["initial", "added", "changed", "requested"]),
  tables: z.array(z.string()),
  /** LSN: records that are not newer than this when the run ends are gone at the origin. */
  below: z.string(),
  epoch: z.number(),
  request: z.string().optional(),
  audience: z.string().optional(),
});
/** A snapshot that has begun. */
export type SnapshotRun = z.output<typeof storedRun>;

const copy = z.object({
  run: z.string(),
  after: z.array(z.string()).nullable(),
  upto: z.array(z.string()).nullable(),
  rows: z.number(),
  isDone: z.boolean(),
});

const runKey = "run";
const copyKey = (table: string) => `copy/${table}`;
/** Tables whose first snapshot is complete. */
export const copiedKey = (table: string) => `copied/${table}`;
/** Tables that must be read again, and whose run has not begun. */
export const needKey = (table: string) => `need/${table}`;

/** What of a snapshot was left unfinished. */
export interface Unfinished {
  readonly run: SnapshotRun;
  readonly copies: ReadonlyMap<string, CopyProgress>;
}

export async function recallRun(state: StateStore): Promise<Unfinished | undefined> {
  const [entry] = await state.get([runKey]);
  if (!entry) return undefined;
  const run = storedRun.parse(entry.value);
  const copies = new Map<string, CopyProgress>();
  for await (const page of state.scan("copy/"))
    for (const { key, value } of page) {
      const progress = copy.parse(value);
      if (progress.run === run.id) copies.set(key.slice("copy/".length), progress);
    }
  return { run, copies };
}

/** Tables that need not be read for the first time any more: with `isNever`, those too that were passed over. */
export async function recallCopied(state: StateStore, isNever: boolean): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const page of state.scan("copied/"))
    for (const { key, value } of page)
      if (isNever || value !== passedOver) names.add(key.slice("copied/".length));
  return names;
}

export async function recallNeeded(state: StateStore): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const page of state.scan("need/"))
    for (const { key } of page) names.add(key.slice("need/".length));
  return names;
}

/** The writes that make a slot's story begin anew: nothing is known of earlier snapshots. */
export async function forgetRuns(state: StateStore): Promise<readonly StateWrite[]> {
  const writes: StateWrite[] = [{ key: runKey, value: undefined }];
  for (const prefix of ["copy/", "copied/", "need/", "shape/"])
    for await (const page of state.scan(prefix))
      for (const { key } of page) writes.push({ key, value: undefined });
  return writes;
}

const markCopied = (table: string): StateWrite => ({ key: copiedKey(table), value: true });

/** `snapshot: "never"`: its rows of before are not wanted, until the config says otherwise. */
const passedOver = "never";
export const markPassedOver = (table: string): StateWrite => ({
  key: copiedKey(table),
  value: passedOver,
});

/** What a run needs of the source around it. */
export interface RunContext extends Omit<
  CopyRun,
  "session" | "audience" | "table" | "remember" | "finish" | "watch"
> {
  readonly parallelTables: number;
  /**
   * Looks at the tables as they are before a run for everybody begins; what it returns is called where
   * the run begins in the stream, and tells what to remember.
   */
  readonly recast: (tables: readonly string[]) => Promise<() => readonly StateWrite[]>;
  /** It changed so that what was copied of it is void; another run is bound to follow. */
  readonly isOutdated: (table: string) => boolean;
  /** A table that could not be read to its end: what remembers it. */
  readonly missed: (table: string) => StateWrite;
  readonly table: (name: string) => Promise<Awaited<ReturnType<CopyRun["table"]>>>;
  readonly watch: (table: string, window: Parameters<CopyRun["watch"]>[0]) => () => void;
  /** Rows of a table, as nearly as the planner knows. */
  readonly estimate: (session: Session, table: string) => Promise<number>;
  readonly progress: (done: number, total: number) => void;
}

/**
 * Takes a snapshot, or goes on with an unfinished one; resolves when its last write is handed over, with
 * the tables that are copied: one that is gone or cannot be read meanwhile is not.
 */
export async function takeSnapshot(
  todo: SnapshotOrder | Unfinished,
  context: RunContext,
): Promise<readonly string[]> {
  const { markers, epoch, signal, estimate } = context;
  const session = await context.openSession();
  const sessions = [session];
  try {
    const begun = "run" in todo;
    const run = begun ? todo.run : await begin(todo);
    const copies = new Map<string, CopyProgress>(begun ? todo.copies : []);
    const missed = new Set(begun ? run.tables.filter(context.isOutdated) : []);
    const waiting = run.tables.filter((name) => !copies.get(name)?.isDone && !missed.has(name));
    let total = 0;
    for (const name of run.tables) total += await estimate(session, name);
    const tell = () => {
      const done = [...copies.values()].reduce((sum, { rows }) => sum + rows, 0);
      context.progress(done, Math.max(total, done));
    };
    tell();

    const worker = async (own: Session) => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        const table = name;
        const facts = await context.table(table);
        let given = facts;
        const copyRun: CopyRun = {
          ...context,
          session: own,
          audience: run.audience,
          table: async () => {
            const first = given;
            given = undefined;
            return first ?? context.table(table);
          },
          watch: (window) => context.watch(table, window),
          remember: (progress) => {
            copies.set(table, progress);
            tell();
            return { key: copyKey(table), value: { run: run.id, ...progress } };
          },
          finish: (relation, place) =>
            clearOf({
              source: relation.source,
              reason: "sweep",
              below: version({ epoch: run.epoch, position: parseLsn(run.below), rank: 0, tail: 0 }),
              place,
              audience: run.audience,
            }),
        };
        const isWhole =
          facts &&
          (facts.key.length === 0
            ? await copyWhole(copyRun)
            : await copyTable(copyRun, copies.get(table)));
        if (!isWhole) missed.add(table);
      }
    };
    const helpers = Math.min(context.parallelTables, waiting.length) - 1;
    for (let n = 0; n < helpers; n++) sessions.push(await context.openSession());
    await Promise.all(sessions.map(worker));
    const copied = run.tables.filter((name) => !missed.has(name));
    await end(run, copied, missed);
    return copied;
  } finally {
    await Promise.allSettled(sessions.map((one) => one.close()));
  }

  /** Everything that the stream brings after this marker is newer than the run's beginning. */
  async function begin(order: SnapshotOrder): Promise<SnapshotRun> {
    const isForAll = order.audience === undefined;
    const recast = isForAll ? await context.recast(order.tables) : () => [];
    return markers.reach(
      session,
      function* ({ lsn }) {
        const tables = [...order.tables];
        const run = { ...order, tables, id: randomUUID(), below: formatLsn(lsn), epoch };
        yield { writes: [{ key: runKey, value: run }, ...recast()] };
        return run;
      },
      signal,
    );
  }

  function end(
    run: SnapshotRun,
    copied: readonly string[],
    missed: ReadonlySet<string>,
  ): Promise<void> {
    return markers.reach(
      session,
      function* () {
        yield {
          writes: [
            { key: runKey, value: undefined },
            ...run.tables.map((name) => ({ key: copyKey(name), value: undefined })),
            // A catch-up is one subscription's: it makes no table known to the others.
            ...(run.audience === undefined
              ? [...copied.map(markCopied), ...[...missed].map(context.missed)]
              : []),
          ],
          ...(run.request !== undefined && { completes: [run.request] }),
        };
      },
      signal,
    );
  }
}
