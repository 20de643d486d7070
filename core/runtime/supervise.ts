import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import type { ResolvedConnector } from "../config/pipeline.ts";
import { PositionLostError } from "../errors.ts";
import { untilWanted } from "./catch-up.ts";
import { runConsumer } from "./consumer-task.ts";
import { producerOf } from "./producers.ts";
import { runSource } from "./source-task.ts";
import type { TaskRun } from "./task.ts";
import { untilAborted } from "./until-aborted.ts";
import type { Wish, Wishes } from "./wishes.ts";

const firstRetryMs = 10_000;
const maxRetryMs = 300_000;
/** A run that lasted this long was healthy: the next failure is retried as if it were the first. */
const healthyAfterMs = 60_000;

/** What has become of a connector in this process. */
export type Standing =
  | { readonly is: "working" }
  /** A source without more to read. */
  | { readonly is: "ended" }
  | { readonly is: "failed"; readonly error: unknown };

/**
 * Runs a connector as people want it: while it is not wanted it waits; once it failed it is tried again, later and
 * later, since what was wrong may be mended elsewhere; a source that ended runs again for who needs it. `tell` hears
 * of each change. Returns on abort.
 */
export async function supervise(
  connector: ResolvedConnector,
  run: Omit<TaskRun, "gate">,
  { wishes, tell }: { readonly wishes: Wishes; readonly tell: (standing: Standing) => void },
): Promise<void> {
  const { board, log, signal } = run;
  const { name } = connector;
  let failures = 0;
  while (!signal.aborted) {
    const wish = wishes.of(name);
    if (wish.wanted !== "running") {
      tell({ is: "working" });
      board.become(wish.wanted);
      log.info({}, `${connector.kind} is ${wish.wanted}: it waits for \`sluice resume\``);
      await wishes.changed(name, wish, signal);
      continue;
    }
    const startedAt = performance.now();
    tell({ is: "working" });
    board.become("starting");
    const { told, over } = obey(connector, run, wishes, wish);
    let stop = told;
    try {
      const { backend, lost } = await inSession(connector, run.backend, told);
      stop = AbortSignal.any([told, lost]);
      const task = { ...run, backend, signal: stop, gate: gateOf(name, wishes) };
      await (connector.kind === "source"
        ? runSource(connector, task)
        : runConsumer(connector, task));
      if (stop.aborted) continue;
      over();
      board.become("stopped");
      tell({ is: "ended" });
      await untilNeeded(connector, { ...run, signal: stop }, wishes, wish);
    } catch (error) {
      if (stop.aborted) continue;
      over();
      failures = performance.now() - startedAt > healthyAfterMs ? 1 : failures + 1;
      const inMs =
        error instanceof PositionLostError
          ? undefined // somebody has to decide (Invariant 10)
          : Math.min(firstRetryMs * 2 ** (failures - 1), maxRetryMs);
      board.trouble("failed", error);
      log.error(
        { error, ...(inMs !== undefined && { triedAgainInMs: inMs }) },
        `${connector.kind} failed`,
      );
      tell({ is: "failed", error });
      await untilMended(name, { wishes, wish, inMs, signal });
    } finally {
      over();
    }
  }
  board.become("stopped");
}

/** What publishes is torn down once `lost` aborts: what it published last may be, and it begins again at what is stored. */
async function inSession(
  { kind }: ResolvedConnector,
  backend: Backend,
  signal: AbortSignal,
): Promise<{ readonly backend: Backend; readonly lost: AbortSignal }> {
  if (kind === "sink") return { backend, lost: signal };
  const { topics, over } = await untilAborted(backend.topics.session(), signal);
  return { backend: { ...backend, topics }, lost: over };
}

/** Follows what is wanted while the connector runs: `told` aborts when it is to be torn down. */
function obey(
  { name, kind }: ResolvedConnector,
  { board, log, signal }: Omit<TaskRun, "gate">,
  wishes: Wishes,
  begun: Wish,
): { readonly told: AbortSignal; readonly over: () => void } {
  const stop = new AbortController();
  const over = new AbortController();
  const follow = async () => {
    const until = AbortSignal.any([signal, over.signal]);
    for (let seen = begun; ;) {
      await wishes.changed(name, seen, until);
      if (until.aborted) return;
      seen = wishes.of(name);
      if (seen.wanted === "stopped" || seen.restarts !== begun.restarts)
        return stop.abort(new Error(`${name} is to be ${seen.wanted}`));
      board.hold(seen.wanted === "paused" ? "paused" : undefined);
      log.info({}, `${kind} ${seen.wanted === "paused" ? "paused" : "goes on"}`);
    }
  };
  void follow(); // never rejects
  return {
    told: AbortSignal.any([signal, stop.signal]),
    over: () => {
      over.abort();
      board.hold(undefined);
    },
  };
}

/** Resolves while the connector is not paused. */
function gateOf(name: string, wishes: Wishes): TaskRun["gate"] {
  return async (signal) => {
    for (let wish = wishes.of(name); wish.wanted === "paused"; wish = wishes.of(name)) {
      await wishes.changed(name, wish, signal);
      signal.throwIfAborted();
    }
  };
}

/** It has ended, and is a part of what has: until somebody needs it after all. */
async function untilNeeded(
  connector: ResolvedConnector,
  { backend, log, signal }: Omit<TaskRun, "gate">,
  wishes: Wishes,
  wish: Wish,
): Promise<void> {
  const { name } = connector;
  await first(signal, (until) => {
    const changed = wishes.changed(name, wish, until);
    if (connector.kind !== "source" || !connector.source.capabilities.snapshotOnRequest)
      return [changed];
    const { topics, state } = backend;
    const asked = untilWanted({
      producer: producerOf(connector),
      topics,
      state,
      isOptional: true,
      log,
      signal: until,
    }).then(() => log.info({}, "the source had ended, and is asked for a snapshot: it runs again"));
    return [changed, asked];
  });
}

async function untilMended(
  name: string,
  given: {
    readonly wishes: Wishes;
    readonly wish: Wish;
    readonly inMs: number | undefined;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { wishes, wish, inMs, signal } = given;
  await first(signal, (until) => [
    wishes.changed(name, wish, until),
    ...(inMs === undefined ? [] : [sleep(inMs, undefined, { signal: until })]),
  ]);
}

/** Resolves when one of several ways has come to its end, or on abort; the others are ended then. */
async function first(
  signal: AbortSignal,
  ways: (until: AbortSignal) => readonly Promise<void>[],
): Promise<void> {
  const over = new AbortController();
  const all = ways(AbortSignal.any([signal, over.signal]));
  await Promise.race(all.map((way) => way.catch(() => undefined))); // aborted
  over.abort();
}
