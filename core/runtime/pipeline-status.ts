import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import type { Pipeline } from "../config/pipeline.ts";
import type { Durability } from "../queue/queue.ts";
import type { Board } from "./board.ts";
import { pendingRequests } from "./requests.ts";
import { readSubscriptions } from "./standings.ts";
import type { PipelineStatus } from "./status.ts";

const answerWithinMs = 1_500;

/** What the queue says of a pipeline, whichever process asks. */
interface Told {
  readonly subscriptions: Awaited<ReturnType<typeof readSubscriptions>>;
  readonly requests: Counts;
  readonly deadLetters: Counts;
  readonly durability: Durability;
}

/** By connector. */
type Counts = ReadonlyMap<string, number>;

/** Tells what a process is doing: each connector by its board, and what the queue says of them. */
export function statusReader(
  pipeline: Pipeline,
  backend: Backend,
  boards: ReadonlyMap<string, Board>,
): (started: { readonly at: string; readonly durability: Durability }) => Promise<PipelineStatus> {
  let deadLetters: Counts = new Map();
  return async (started) => {
    const told = await inTime(askQueue(pipeline, backend), answerWithinMs);
    deadLetters = told?.deadLetters ?? deadLetters;
    return {
      project: pipeline.project,
      pid: process.pid,
      host: hostname(),
      startedAt: started.at,
      queue: pipeline.queue.kind,
      queueAnswers: told !== undefined,
      durability: told?.durability ?? started.durability,
      connectors: [...boards.values()].map((board) => {
        const status = board.read();
        const own = told?.subscriptions.filter(({ name }) => name === status.name) ?? [];
        const asked = told?.requests.get(status.name) ?? 0;
        return {
          ...status,
          deadLetters: deadLetters.get(status.name) ?? 0,
          ...(asked > 0 && { requests: asked }),
          ...(own.length > 0 && { subscriptions: own }),
        };
      }),
    };
  };
}

async function askQueue(pipeline: Pipeline, backend: Backend): Promise<Told> {
  const { topics, state, deadLetters } = backend;
  const sources = pipeline.connectors.filter(({ kind }) => kind === "source");
  const [subscriptions, requests, letters, durability] = await Promise.all([
    readSubscriptions(backend),
    counted(sources, async (name) => (await pendingRequests(state.scope(name).state)).length),
    counted(pipeline.connectors, deadLetters.count),
    topics.durability(),
  ]);
  return { subscriptions, requests, deadLetters: letters, durability };
}

async function counted(
  connectors: Pipeline["connectors"],
  count: (name: string) => Promise<number>,
): Promise<Counts> {
  return new Map(
    await Promise.all(connectors.map(async ({ name }) => [name, await count(name)] as const)),
  );
}

/** Undefined when it takes longer: a queue that does not answer must not keep the process from saying so. */
async function inTime<T>(answer: Promise<T>, ms: number): Promise<T | undefined> {
  const patience = new AbortController();
  return await Promise.race([
    answer,
    sleep(ms, undefined, { signal: patience.signal, ref: false }),
  ]).finally(() => patience.abort());
}
