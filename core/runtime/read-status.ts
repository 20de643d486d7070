import { existsSync } from "node:fs";
import { openBackend, type Backend } from "../backend.ts";
import type { Pipeline } from "../config/pipeline.ts";
import type { Log } from "../connector.ts";
import { RetryableError } from "../errors.ts";
import type { SubscriptionStatus } from "../queue/queue.ts";
import type { StatePlace } from "../state/state.ts";
import { counted } from "./pipeline-status.ts";
import { listProcesses, type ProcessEntry } from "./processes.ts";
import { readSubscriptions, type Standing } from "./standings.ts";
import type { PipelineStatus } from "./status.ts";
import { whileUsable } from "./while-usable.ts";

const answerWithinMs = 5_000;

/** What is known of a pipeline from outside. */
export interface StatusReport {
  /** One a live process, as it says itself. */
  readonly processes: readonly PipelineStatus[];
  /** Registered but not answering: just stopped, or on a machine this one cannot reach. */
  readonly silent: readonly ProcessEntry[];
  /** What the queue holds. */
  readonly subscriptions: readonly (SubscriptionStatus & Standing)[];
  /** Open dead letters a connector. */
  readonly deadLetters: Readonly<Record<string, number>>;
}

/** Asks every process of the pipeline, and the queue itself. Changes nothing. Rejects within seconds with why where that is away. */
export async function readStatus(pipeline: Pipeline, options: { log: Log }): Promise<StatusReport> {
  if (isUntouched(pipeline))
    return { processes: [], silent: [], subscriptions: [], deadLetters: {} };
  const backend = await openBackend(pipeline, options);
  try {
    return await whileUsable(backend, (backend) => report(pipeline, backend));
  } finally {
    await backend.close(1_000);
  }
}

async function report(pipeline: Pipeline, backend: Backend): Promise<StatusReport> {
  const { processes, silent } = await askProcesses(backend.state);
  const subscriptions = await readSubscriptions(backend);
  const deadLetters = await counted(pipeline.connectors, backend.deadLetters.count);
  return { processes, silent, subscriptions, deadLetters: Object.fromEntries(deadLetters) };
}

/** Asks every registered process what it is doing. */
export async function askProcesses(
  state: StatePlace,
): Promise<Pick<StatusReport, "processes" | "silent">> {
  const entries = await listProcesses(state);
  const answers = await Promise.all(entries.map(ask));
  return {
    processes: answers.filter((answer) => answer !== undefined),
    silent: entries.filter((_, at) => answers[at] === undefined),
  };
}

/** An embedded pipeline that never ran: opening its queue would make one. */
export function isUntouched({ queue, state }: Pipeline): boolean {
  return [queue, state].every((place) => place.kind === "embedded" && !existsSync(place.dir));
}

/** Undefined: silent, and reported as such. */
async function ask({ url }: ProcessEntry): Promise<PipelineStatus | undefined> {
  return await askProcess(url).catch(() => undefined);
}

/** What a process says of itself at its admin API, which needs no queue. Rejects with `RetryableError` `admin.silent` or `admin.refused`. */
export async function askProcess(url: string): Promise<PipelineStatus> {
  const token = process.env["SLUICE_ADMIN_TOKEN"];
  const response = await fetch(`${url}/connectors`, {
    signal: AbortSignal.timeout(answerWithinMs),
    ...(token && { headers: { authorization: `Bearer ${token}` } }),
  }).catch((cause: unknown) => {
    throw new RetryableError(`admin: no process answers at ${url}.`, {
      code: "admin.silent",
      reason: "unreachable",
      fix: "Name the address that `sluice start --admin HOST:PORT` was given, or that its first lines say.",
      cause,
    });
  });
  if (response.ok) return (await response.json()) as PipelineStatus; // our own API
  throw new RetryableError(`admin: ${url} answers ${response.status}.`, {
    code: "admin.refused",
    reason: "refused",
    fix: "Set SLUICE_ADMIN_TOKEN as it is set for the process, and see that it is one of `sluice start`.",
  });
}
