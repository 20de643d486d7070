import type { Backend } from "../../core/backend.ts";
import { openDeadLetters } from "../../core/queue/dead-letters.ts";

/** Queue and state of one run. */
export interface StepsPlace {
  readonly project: string;
  /** A Redis, or a folder. */
  readonly redis?: string;
  readonly dir: string;
}

export const topic = "documents";
export const sinkName = "search";
/** Short: every run waits for the lease of a process that was killed. */
const leaseMs = 1_200;
const writeTimeoutMs = 400;

export async function openStepsBackend(
  { project, redis, dir }: StepsPlace,
  partitions: number,
): Promise<Backend> {
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: console.error };
  const state =
    redis === undefined
      ? (await import("../../core/state/embedded/index.ts")).openEmbeddedState({ dir, project })
      : await (
          await import("../../core/state/redis/index.ts")
        ).openRedisState({ url: redis, project, log });
  const options = {
    project,
    settings: () => ({ partitions, optional: false, maxWaiting: 1_000 }),
    scope: state.scope,
    log,
    leaseMs,
    writeTimeoutMs,
  };
  const topics =
    redis === undefined
      ? (await import("../../core/queue/embedded/index.ts")).openEmbeddedTopics({ ...options, dir })
      : await (
          await import("../../core/queue/bullmq/index.ts")
        ).openBullmqTopics({ ...options, url: redis });
  return {
    project: options.project,
    topics,
    state,
    deadLetters: openDeadLetters(state.scope),
    compact: async () => undefined,
    outage: () => undefined,
    close: async (graceMs) => {
      await topics.close(graceMs);
      await state.close();
    },
  };
}
