import { existsSync } from "node:fs";
import { openBackend } from "../backend.ts";
import type { Pipeline } from "../config/pipeline.ts";
import type { Log } from "../connector.ts";
import type { SubscriptionStatus } from "../queue/queue.ts";
import type { StatePlace } from "../state/state.ts";
import { listProcesses, type ProcessEntry } from "./processes.ts";
import { readSubscriptions, type Standing } from "./standings.ts";
import type { PipelineStatus } from "./status.ts";

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

/** Asks every process of the pipeline, and the queue itself. Changes nothing. */
export async function readStatus(pipeline: Pipeline, options: { log: Log }): Promise<StatusReport> {
  if (isUntouched(pipeline))
    return { processes: [], silent: [], subscriptions: [], deadLetters: {} };
  const backend = await openBackend(pipeline, options);
  try {
    const { processes, silent } = await askProcesses(backend.state);
    const subscriptions = await readSubscriptions(backend);
    const deadLetters: Record<string, number> = {};
    for (const { name } of pipeline.connectors)
      deadLetters[name] = await backend.deadLetters.count(name);
    return { processes, silent, subscriptions, deadLetters };
  } finally {
    await backend.close(1_000);
  }
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

async function ask({ url }: ProcessEntry): Promise<PipelineStatus | undefined> {
  try {
    const token = process.env["SLUICE_ADMIN_TOKEN"];
    const response = await fetch(`${url}/connectors`, {
      signal: AbortSignal.timeout(answerWithinMs),
      ...(token && { headers: { authorization: `Bearer ${token}` } }),
    });
    return response.ok ? ((await response.json()) as PipelineStatus) : undefined; // our own API
  } catch {
    return undefined; // silent: reported as such
  }
}
