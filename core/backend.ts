import type { Pipeline, Place } from "./config/pipeline.ts";
import type { Log } from "./connector.ts";
import { watchOutages, type Outage } from "./outage.ts";
import { openDeadLetters } from "./queue/dead-letters.ts";
import { defaultLeaseMs, defaultWriteTimeoutMs, type TopicsOptions } from "./queue/options.ts";
import type { DeadLetters, Topics } from "./queue/queue.ts";
import type { StatePlace } from "./state/state.ts";

/** Queue and state of a pipeline, opened where its config says. */
export interface Backend {
  readonly project: string;
  readonly topics: Topics;
  readonly state: StatePlace;
  readonly deadLetters: DeadLetters;
  /**
   * Has the files of this machine rewritten without what was deleted from them; false when others left no room for
   * it. `undefined` where there is none: queue and state are in Redis.
   */
  readonly compact: () => Promise<boolean | undefined>;
  /** Why queue or state cannot be used, and since when; undefined while they can. */
  readonly outage: () => Outage | undefined;
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
    const topics = await openTopics(queue, common);
    const probe = async () => void (await Promise.all([topics.probe(), state.probe()]));
    const outages = watchOutages({ probe, log });
    return {
      project,
      topics,
      state,
      deadLetters: openDeadLetters(state.scope),
      compact: () => compactAll([queue, pipeline.state]),
      outage: outages.now,
      close: async (graceMs) => {
        outages.close();
        await topics.close(graceMs);
        await state.close();
      },
    };
  } catch (error) {
    await state.close();
    throw error;
  }
}

async function openTopics(queue: Place, options: TopicsOptions): Promise<Topics> {
  if (queue.kind === "redis") {
    const { openBullmqTopics } = await import("./queue/bullmq/index.ts");
    return await openBullmqTopics({ ...options, url: queue.url });
  }
  const { openEmbeddedTopics } = await import("./queue/embedded/index.ts");
  return openEmbeddedTopics({ ...options, dir: queue.dir });
}

async function openState({ project, state }: Pipeline, log: Log): Promise<StatePlace> {
  if (state.kind === "redis") {
    const { openRedisState } = await import("./state/redis/index.ts");
    return await openRedisState({ url: state.url, project, log });
  }
  const { openEmbeddedState } = await import("./state/embedded/index.ts");
  return openEmbeddedState({ dir: state.dir, project });
}

async function compactAll(places: readonly Place[]): Promise<boolean | undefined> {
  const dirs = new Set(places.flatMap((place) => (place.kind === "embedded" ? [place.dir] : [])));
  if (dirs.size === 0) return undefined;
  const { compact } = await import("./state/embedded/compact.ts");
  const done = await Promise.all([...dirs].map(compact));
  return done.every(Boolean);
}
