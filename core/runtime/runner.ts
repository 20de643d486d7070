import { hostname } from "node:os";
import { openBackend, type Backend } from "../backend.ts";
import type { Pipeline, ResolvedConnector } from "../config/pipeline.ts";
import type { Log } from "../connector.ts";
import { defaultLeaseMs } from "../queue/options.ts";
import type { Durability } from "../queue/queue.ts";
import { serveAdmin, type Listen } from "./admin/server.ts";
import { statusBoard, type Board } from "./board.ts";
import { rememberConfigs } from "./config-changes.ts";
import { prometheus } from "./metrics.ts";
import { commandEnding, orphansOf } from "./orphans.ts";
import { statusReader } from "./pipeline-status.ts";
import { registerProcess } from "./processes.ts";
import type { PipelineStatus } from "./status.ts";
import { subscribe } from "./stay-subscribed.ts";
import { supervise, type Standing } from "./supervise.ts";
import { whoIs } from "./who-is.ts";
import { followWishes } from "./wishes.ts";

export interface Running {
  /** Of the admin API. */
  readonly url: string;
  readonly status: () => Promise<PipelineStatus>;
  /** Resolves with the first failure that needs a person; the other connectors go on, and it is tried again. Else never. */
  readonly failed: Promise<{ readonly connector: string; readonly error: unknown }>;
  /** Resolves, with the failure of one of them, when every connector has failed or ended. Else never. */
  readonly allFailed: Promise<{ readonly connector: string; readonly error: unknown }>;
  /** Resolves when every connector has ended by itself; else never. */
  readonly ended: Promise<void>;
  /** Stops everything and resolves within `graceMs`: what is not finished is handed back. May be called twice. */
  readonly stop: (graceMs: number) => Promise<void>;
}

export interface RunOptions {
  readonly log: Log;
  readonly admin: Listen;
  /** Texts that must appear in no status and no dead letter (Invariant 11). */
  readonly secrets?: readonly string[];
}

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

  let started = { at: new Date().toISOString(), durability: "memory" as Durability };
  const read = statusReader(pipeline, backend, boards, scrub);
  const status = () => read(started);
  let stopped: Promise<void> | undefined;
  const closers: (() => Promise<void>)[] = [];
  const stop = (graceMs: number) => (stopped ??= stopAll(graceMs));

  async function stopAll(graceMs: number): Promise<void> {
    const deadline = performance.now() + graceMs;
    stopping.abort(new Error("the pipeline stops"));
    await within(Promise.allSettled(tasks), graceMs * 0.7);
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
      for (const topic of connector.from) await subscribe(connector, topic, backend.topics);
    }
    await warnOfOrphans(pipeline, backend, log);
    for (const connector of pipeline.connectors)
      boards.set(connector.name, statusBoard(whoIs(connector), { scrub }));
    const admin = await serveAdmin(
      options.admin,
      {
        names: [...boards.keys()],
        connector: (name) => pipeline.connectors.find((one) => one.name === name),
        status,
        metrics: async () => prometheus(await status(), (name) => boards.get(name)),
        backend,
        log,
      },
      log,
    );
    closers.push(admin.close);
    closers.push(
      await registerProcess(
        backend.state,
        { pid: process.pid, host: hostname(), url: admin.url, connectors: [...boards.keys()] },
        log,
      ),
    );

    const standings = new Map<string, Standing>();
    const first = pending<{ connector: string; error: unknown }>();
    const all = pending<{ connector: string; error: unknown }>();
    const ended = pending<void>();
    const tell = (connector: string, standing: Standing): void => {
      standings.set(connector, standing);
      if (stopping.signal.aborted) return;
      if (standing.is === "failed") first.resolve({ connector, error: standing.error });
      const now = [...standings.values()];
      if (now.length < pipeline.connectors.length || now.some(({ is }) => is === "working")) return;
      const [failure] = [...standings].flatMap(([name, one]) =>
        one.is === "failed" ? [{ connector: name, error: one.error }] : [],
      );
      if (failure) all.resolve(failure);
      else ended.resolve();
    };
    const initial = new Map(
      pipeline.connectors.map(
        ({ name, initialState = "running" }) => [name, initialState] as const,
      ),
    );
    const wishes = await followWishes(initial, {
      place: backend.state,
      log,
      signal: stopping.signal,
    });
    await rememberConfigs(pipeline, backend.state);
    tasks = pipeline.connectors.map((connector) =>
      supervise(
        connector,
        {
          backend,
          board: boards.get(connector.name) as Board, // one was made for each above
          log: logOf(connector, log),
          topics: pipeline.topics,
          leaseMs: defaultLeaseMs,
          scrub,
          signal: stopping.signal,
        },
        { wishes, tell: (standing) => tell(connector.name, standing) },
      ),
    );
    return {
      url: admin.url,
      status,
      failed: first.promise,
      allFailed: all.promise,
      ended: ended.promise,
      stop,
    };
  } catch (error) {
    await stop(2_000);
    throw error;
  }
}

async function warnOfOrphans(pipeline: Pipeline, backend: Backend, log: Log): Promise<void> {
  for (const orphan of await orphansOf(pipeline, backend)) {
    const { topic, name, waiting } = orphan;
    log.warn(
      { topic, subscription: name, waiting, end: commandEnding(orphan, pipeline) },
      "a subscription without a consumer: when it is full, its topic stands still. Was its connector renamed?",
    );
  }
}

function logOf(connector: ResolvedConnector, log: Log): Log {
  const named = (level: keyof Log) => (fields: object, message: string) =>
    log[level]({ connector: connector.name, ...fields }, message);
  return { debug: named("debug"), info: named("info"), warn: named("warn"), error: named("error") };
}

function pending<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let settle: (value: T) => void = () => undefined;
  const promise = new Promise<T>((resolve) => (settle = resolve));
  return { promise, resolve: (value) => settle(value) };
}

async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
