import type { Pipeline } from "./config/pipeline.ts";
import type { Log } from "./connector.ts";
import { openDeadLetters } from "./queue/dead-letters.ts";
import { defaultLeaseMs, defaultWriteTimeoutMs } from "./queue/options.ts";
import type { DeadLetters, Topics } from "./queue/queue.ts";
import type { StatePlace } from "./state/state.ts";

/** Queue and state of a pipeline, opened where its config says. */
export interface Backend {
  readonly topics: Topics;
  readonly state: StatePlace;
  readonly deadLetters: DeadLetters;
  readonly close: (graceMs: number) => Promise<void>;
}

/** The drivers are loaded here and only when used: importing `sluice` loads neither Redis nor SQLite. */
export async function openBackend(pipeline: Pipeline, options: { log: Log }): Promise<Backend> {
  const { project, queue } = pipeline;
  const { log } = options;
  const state = await openState(pipeline, log);
  const common = {
    project,
    settings: (topic: string) => {
      const settings = pipeline.topics[topic];
      if (!settings) throw new Error(`topic ${topic} is not part of this pipeline`);
      return settings;
    },
    scope: state.scope,
    log,
    leaseMs: defaultLeaseMs,
    writeTimeoutMs: defaultWriteTimeoutMs,
  };
  try {
    const topics =
      queue.kind === "redis"
        ? await (
            await import("./queue/bullmq/index.ts")
          ).openBullmqTopics({ ...common, url: queue.url })
        : await (
            await import("./queue/embedded/index.ts")
          ).openEmbeddedTopics({ ...common, dir: queue.dir });
    return {
      topics,
      state,
      deadLetters: openDeadLetters(state.scope),
      close: async (graceMs) => {
        await topics.close(graceMs);
        await state.close();
      },
    };
  } catch (error) {
    await state.close();
    throw error;
  }
}

async function openState({ project, state }: Pipeline, log: Log): Promise<StatePlace> {
  if (state.kind === "redis")
    return await (
      await import("./state/redis/index.ts")
    ).openRedisState({ url: state.url, project, log });
  return await (
    await import("./state/embedded/index.ts")
  ).openEmbeddedState({ dir: state.dir, project });
}
