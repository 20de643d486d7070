import type { Log } from "../../connector.ts";
import type { SluiceEvent } from "../../event.ts";
import type { RedisClient } from "../../state/redis/client.ts";
import type { CurrentRun } from "./server-run.ts";
import { bodiesKey, jobKey, pieceKeys, type QueueNames } from "./names.ts";

/** What a job of ours knows itself. */
export interface JobData {
  readonly pieces: number;
  /** The run of the server that it was published in; empty: whatever that was. */
  readonly serverRun: string;
}

/** The events of one partition's jobs, which lie beside them. */
export interface JobEvents {
  /**
   * Undefined when Redis does not have them: holding would stop the partition for ever. Loud when somebody took them out;
   * where Redis was restarted between a job's events and the job, they are published again. So they are after
   * a fail-over there, and a job that was handled may be added again by a client that was cut off; but that
   * cannot be told apart here: it is loud too.
   */
  readonly read: (jobId: string, data: JobData) => Promise<readonly SluiceEvent[] | undefined>;
  /** The job is completed: its events go with the next `read` or `flush`, to save a round trip a job. */
  readonly forget: (jobId: string, data: JobData) => void;
  /** Never rejects: what stays is swept. */
  readonly flush: () => Promise<void>;
}

/** KEYS: the events, the job. Where Redis went back, a job that was completed waits again, and needs its events. */
const removeScript = `
if redis.call('EXISTS', KEYS[2]) == 1 and redis.call('HEXISTS', KEYS[2], 'finishedOn') == 0 then return 0 end
return redis.call('HDEL', KEYS[1], unpack(ARGV))`;

export function openJobEvents(options: {
  readonly client: RedisClient;
  readonly names: QueueNames;
  readonly currentRun: CurrentRun;
  readonly log: Log;
}): JobEvents {
  const { client, names, currentRun, log } = options;
  const key = bodiesKey(names);
  let forgotten: (readonly [jobId: string, pieces: number])[] = [];

  /** What has been forgotten is removed on the way. */
  const pipeline = () => {
    const old = forgotten;
    forgotten = [];
    const commands = client.pipeline();
    for (const [jobId, pieces] of old)
      commands.eval(removeScript, 2, key, jobKey(names, jobId), ...pieceKeys(jobId, pieces));
    return commands;
  };

  async function fetch(pieces: readonly string[]): Promise<readonly (string | null)[]> {
    if (forgotten.length === 0) return await client.hmget(key, ...pieces);
    const answers = await pipeline()
      .hmget(key, ...pieces)
      .exec();
    const [error, found] = answers?.at(-1) ?? [new Error("redis: no answer")];
    if (error) throw error;
    return found as (string | null)[]; // what HMGET answers
  }

  return {
    read: async (jobId, { pieces, serverRun }) => {
      const found = await fetch(pieceKeys(jobId, pieces));
      const texts = found.filter((piece) => piece !== null);
      if (texts.length === pieces)
        return texts.flatMap((text) => JSON.parse(text) as readonly SluiceEvent[]);
      if (serverRun && serverRun !== (await currentRun()).id) {
        log.info({ ...names, jobId }, "a batch lost its events with the last run of Redis");
        return undefined;
      }
      const fix =
        "None if a publisher was cut off and sent again what was handled. Else somebody took them: set maxmemory-policy noeviction, and take a snapshot of the sources.";
      log.error({ ...names, jobId, fix }, "events are not in Redis");
      return undefined;
    },
    forget: (jobId, { pieces }) => void forgotten.push([jobId, pieces]),
    flush: async () => {
      if (forgotten.length === 0 || client.status !== "ready") return;
      await pipeline()
        .exec()
        .catch((error: unknown) => {
          log.debug({ ...names, error }, "events stay until they are swept");
        });
    },
  };
}
