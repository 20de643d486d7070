import type { Redis } from "ioredis";
import type { Log } from "../../connector.ts";
import type { SluiceEvent } from "../../event.ts";
import { bodiesKey, type QueueNames } from "./names.ts";

/** The events of one partition's jobs, which lie beside them. */
export interface JobEvents {
  /** Undefined, and loud, when somebody took them out of Redis: holding would stop the partition for ever. */
  readonly read: (jobId: string) => Promise<readonly SluiceEvent[] | undefined>;
  /** The job is completed: its events go with the next `read` or `flush`, to save a round trip a job. */
  readonly forget: (jobId: string) => void;
  /** Never rejects: what stays is swept. */
  readonly flush: () => Promise<void>;
}

export function openJobEvents(options: {
  readonly client: Redis;
  readonly names: QueueNames;
  readonly log: Log;
}): JobEvents {
  const { client, names, log } = options;
  const key = bodiesKey(names);
  let forgotten: string[] = [];

  async function fetch(jobId: string): Promise<string | null> {
    if (forgotten.length === 0) return await client.hget(key, jobId);
    const ids = forgotten;
    forgotten = [];
    const answers = await client
      .pipeline()
      .hdel(key, ...ids)
      .hget(key, jobId)
      .exec();
    const [error, json] = answers?.[1] ?? [new Error("redis: no answer")];
    if (error) throw error;
    return json as string | null; // what HGET answers
  }

  return {
    read: async (jobId) => {
      const json = await fetch(jobId);
      if (json !== null) return JSON.parse(json) as readonly SluiceEvent[];
      const fix = "Set maxmemory-policy noeviction, and take a snapshot of the sources.";
      log.error({ ...names, jobId, fix }, "events lost: Redis no longer has them");
      return undefined;
    },
    forget: (jobId) => void forgotten.push(jobId),
    flush: async () => {
      const ids = forgotten;
      forgotten = [];
      if (ids.length === 0 || client.status !== "ready") return;
      await client.hdel(key, ...ids).catch((error: unknown) => {
        log.debug({ ...names, error }, "events stay until they are swept");
      });
    },
  };
}
