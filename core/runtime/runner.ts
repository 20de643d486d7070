import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { openBackend, type Backend } from "../backend.ts";
import type { Pipeline, ResolvedConnector, SourceConnector } from "../config/pipeline.ts";
import type { Log } from "../connector.ts";
import { defaultLeaseMs } from "../queue/options.ts";
import type { Durability } from "../queue/queue.ts";
import { serveAdmin } from "./admin.ts";
import { statusBoard, type Board } from "./board.ts";
import { untilWanted } from "./catch-up.ts";
import { runConsumer } from "./consumer-task.ts";
import { orphansOf } from "./orphans.ts";
import { registerProcess } from "./processes.ts";
import { producerOf } from "./producers.ts";
import { pendingRequests } from "./requests.ts";
import { runSource } from "./source-task.ts";
import { readSubscriptions } from "./standings.ts";
import type { PipelineStatus } from "./status.ts";
import type { TaskRun } from "./task.ts";
import { whoIs } from "./who-is.ts";

export interface Running {
  /** Of the admin API. */
  readonly url: string;
  readonly status: () => Promise<PipelineStatus>;
  /** Resolves when a connector has stopped for good because of an error; else never. */
  readonly failed: Promise<{ readonly connector: string; readonly error: unknown }>;
  /** Resolves when every connector has ended by itself; else never. */
  readonly ended: Promise<void>;
  /** Stops everything and resolves within `graceMs`: what is not finished is handed back. May be called twice. */
  readonly stop: (graceMs: number) => Promise<void>;
}

export interface RunOptions {
  readonly log: Log;
  readonly admin: { readonly host: string; readonly port: number };
  /** Texts that must appear in no status and no dead letter (Invariant 11). */
  readonly secrets?: readonly string[];
}

const answerWithinMs = 1_500;

/**
 * Starts every connector of a pipeline in this process. Subscriptions are registered before the first
 * source reads, so that nothing is published past them.
 */
export async function startPipeline(pipeline: Pipeline, options: RunOptions): Promise<Running> {
  const { log, secrets = [] } = options;
  const scrub = (text: string) => secrets.reduce((rest, one) => rest.replaceAll(one, "***"), text);
  const backend = await openBackend(pipeline, { log });
  const boards = new Map<string, Board>();
  const stopping = new AbortController();
  let tasks: readonly Promise<void>[] = [];
  const again: Promise<void>[] = [];

  let started = { at: new Date().toISOString(), durability: "memory" as Durability };
  const status = () => readPipelineStatus(pipeline, backend, boards, started);
  let stopped: Promise<void> | undefined;
  const closers: (() => Promise<void>)[] = [];
  const stop = (graceMs: number) => (stopped ??= stopAll(graceMs));

  async function stopAll(graceMs: number): Promise<void> {
    const deadline = performance.now() + graceMs;
    stopping.abort(new Error("the pipeline stops"));
    await within(Promise.allSettled([...tasks, ...again]), graceMs * 0.7);
    // Shares of what is left: with Redis away each of them takes all that it is given.
    const leftMs = Math.max(500, deadline - performance.now());
    await within(Promise.allSettled(closers.map((close) => close())), leftMs * 0.3);
    await within(backend.close(leftMs * 0.3), leftMs * 0.4);
  }

  try {
    const durability = await backend.topics.durability();
    started = { ...started, durability };
    if (durability === "memory")
      log.warn({ durability }, "the queue forgets on a restart of Redis: set appendonly yes");
    for (const connector of pipeline.connectors) {
      if (connector.kind === "source") continue;
      for (const topic of connector.from)
        await backend.topics.subscribe({ topic, name: connector.name });
    }
    await warnOfOrphans(pipeline, backend, log);
    for (const connector of pipeline.connectors)
      boards.set(
        connector.name,
        statusBoard(whoIs(connector), {
          deadLetters:
            connector.kind === "source" ? 0 : await backend.deadLetters.count(connector.name),
          scrub,
        }),
      );
    const admin = await serveAdmin(options.admin, status);
    closers.push(admin.close);
    closers.push(
      await registerProcess(
        backend.state,
        { pid: process.pid, host: hostname(), url: admin.url, connectors: [...boards.keys()] },
        log,
      ),
    );

    let fail: (reason: { connector: string; error: unknown }) => void = () => undefined;
    const failed = new Promise<{ connector: string; error: unknown }>(
      (resolve) => (fail = resolve),
    );
    const runOnce = async (connector: ResolvedConnector): Promise<void> => {
      const board = boards.get(connector.name) as Board; // one was made for each above
      const run: TaskRun = {
        backend,
        board,
        log: logOf(connector, log),
        topics: pipeline.topics,
        leaseMs: defaultLeaseMs,
        scrub,
        signal: stopping.signal,
      };
      try {
        await (connector.kind === "source"
          ? runSource(connector, run)
          : runConsumer(connector, run));
        board.become("stopped");
        if (connector.kind === "source")
          again.push(runAgain(connector, run).catch(() => undefined)); // aborted
      } catch (error) {
        if (stopping.signal.aborted) return board.become("stopped");
        board.trouble("failed", error);
        run.log.error({ error }, `${connector.kind} stopped for good`);
        fail({ connector: connector.name, error });
      }
    };
    /** It has ended, and is a part of what has: until somebody needs it after all. */
    const runAgain = async (connector: SourceConnector, run: TaskRun): Promise<void> => {
      if (!connector.source.capabilities.snapshotOnRequest) return;
      const producer = producerOf(connector);
      const { topics, state } = backend;
      await untilWanted({ ...run, producer, topics, state, isOptional: true });
      run.log.info({}, "the source had ended, and is asked for a snapshot: it runs again");
      await runOnce(connector);
    };
    tasks = pipeline.connectors.map(runOnce);
    const ended = Promise.allSettled(tasks).then(() =>
      stopping.signal.aborted || hasFailed(boards) ? new Promise<void>(() => undefined) : undefined,
    );
    return { url: admin.url, status, failed, ended, stop };
  } catch (error) {
    await stop(2_000);
    throw error;
  }
}

async function readPipelineStatus(
  pipeline: Pipeline,
  backend: Backend,
  boards: ReadonlyMap<string, Board>,
  started: { readonly at: string; readonly durability: Durability },
): Promise<PipelineStatus> {
  // A queue that does not answer must not keep the process from saying so.
  const patience = new AbortController();
  const answer = await Promise.race([
    Promise.all([
      readSubscriptions(backend),
      countRequests(pipeline, backend),
      backend.topics.durability(),
    ]),
    sleep(answerWithinMs, undefined, { signal: patience.signal, ref: false }),
  ]).finally(() => patience.abort());
  const [subscriptions, requests, durability] = answer ?? [[], new Map(), started.durability];
  return {
    project: pipeline.project,
    pid: process.pid,
    host: hostname(),
    startedAt: started.at,
    queue: pipeline.queue.kind,
    queueAnswers: answer !== undefined,
    durability,
    connectors: [...boards.values()].map((board) => {
      const status = board.read();
      const own = subscriptions.filter(({ name }) => name === status.name);
      const asked = requests.get(status.name) ?? 0;
      return {
        ...status,
        ...(asked > 0 && { requests: asked }),
        ...(own.length > 0 && { subscriptions: own }),
      };
    }),
  };
}

/** How many snapshots each source has still to take. */
async function countRequests(
  { connectors }: Pipeline,
  { state }: Backend,
): Promise<ReadonlyMap<string, number>> {
  const sources = connectors.filter(({ kind }) => kind === "source");
  const counts = sources.map(
    async ({ name }) => [name, (await pendingRequests(state.scope(name).state)).length] as const,
  );
  return new Map(await Promise.all(counts));
}

async function warnOfOrphans(pipeline: Pipeline, backend: Backend, log: Log): Promise<void> {
  for (const { topic, name, waiting } of await orphansOf(pipeline, backend))
    log.warn(
      { topic, subscription: name, waiting, end: `sluice subscriptions remove ${name}` },
      "a subscription without a consumer: when it is full, its topic stands still. Was its connector renamed?",
    );
}

function logOf(connector: ResolvedConnector, log: Log): Log {
  const named = (level: keyof Log) => (fields: object, message: string) =>
    log[level]({ connector: connector.name, ...fields }, message);
  return { debug: named("debug"), info: named("info"), warn: named("warn"), error: named("error") };
}

function hasFailed(boards: ReadonlyMap<string, Board>): boolean {
  return [...boards.values()].some((board) => board.read().state === "failed");
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
