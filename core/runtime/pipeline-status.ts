import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../backend.ts";
import type { Pipeline } from "../config/pipeline.ts";
import type { Durability } from "../queue/queue.ts";
import type { Outage } from "../outage.ts";
import { explain, type Board, type BoardStatus } from "./board.ts";
import { pendingRequests } from "./requests.ts";
import { readSubscriptions } from "./standings.ts";
import type { PipelineStatus, Trouble } from "./status.ts";

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
  scrub: (text: string) => string,
): (started: { readonly at: string; readonly durability: Durability }) => Promise<PipelineStatus> {
  let deadLetters: Counts = new Map();
  // One question at a time, however often the status is read while the queue does not answer.
  let asking: Promise<Told | undefined> | undefined;
  const ask = () =>
    (asking ??= askQueue(pipeline, backend)
      .catch(() => undefined) // it is told as an outage
      .finally(() => (asking = undefined)));

  return async (started) => {
    const told = await inTime(ask(), answerWithinMs);
    deadLetters = told?.deadLetters ?? deadLetters;
    const outage = troubleOf(backend.outage(), scrub);
    return {
      project: pipeline.project,
      pid: process.pid,
      host: hostname(),
      startedAt: started.at,
      queue: pipeline.queue.kind,
      queueAnswers: told !== undefined,
      ...(outage && { outage }),
      durability: told?.durability ?? started.durability,
      connectors: [...boards.values()].map((board) => {
        const status = board.read();
        const own = told?.subscriptions.filter(({ name }) => name === status.name) ?? [];
        const asked = told?.requests.get(status.name) ?? 0;
        return {
          ...inOutage(status, outage),
          deadLetters: deadLetters.get(status.name) ?? 0,
          ...(asked > 0 && { requests: asked }),
          ...(own.length > 0 && { subscriptions: own }),
        };
      }),
    };
  };
}

function troubleOf(outage: Outage | undefined, scrub: (text: string) => string) {
  return outage && { ...explain(outage.error, scrub), since: outage.since };
}

/** Whoever takes work waits for the queue. A trouble of its own says more of it. */
function inOutage(status: BoardStatus, outage: Trouble | undefined): BoardStatus {
  if (!outage || status.error) return status;
  switch (status.state) {
    case "starting":
    case "standby":
    case "running":
    case "failing":
      return { ...status, state: "failing", error: outage };
    case "failed":
    case "paused":
    case "stopped":
      return status;
  }
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

/** Something of each of the connectors, counted side by side. */
export async function counted(
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
