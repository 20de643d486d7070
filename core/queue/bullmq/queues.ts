import { Queue, type JobJson } from "bullmq";
import type { Redis } from "ioredis";
import type { Log } from "../../connector.ts";
import { queueNames, type QueuePlace } from "./names.ts";
import type { Packed } from "./pack.ts";

/** One of BullMQ's queues, with the few things we do to it. */
export interface PartitionQueue {
  /** One atomic call. The same id again adds nothing, as long as the first one is known. */
  readonly add: (job: Packed) => Promise<void>;
  /** Jobs waiting; the one being worked on is not counted. */
  readonly waiting: () => Promise<number>;
  /** Jobs and events not yet acknowledged, and since when (`Date.now()`) the oldest is there. */
  readonly backlog: () => Promise<{
    readonly jobs: number;
    readonly events: number;
    readonly oldestAt: number | undefined;
  }>;
  readonly isUnfinished: (jobId: string) => Promise<boolean>;
  /** Order needs it, and it lives in Redis where a wipe takes it away: every start sets it. */
  readonly limitToOne: () => Promise<void>;
  readonly obliterate: () => Promise<void>;
}

/** KEYS: wait, active. ARGV: what a job's key begins with. A job's name begins with its number of events. */
const backlogScript = `
local jobs, events, oldest = 0, 0, false
for _, list in ipairs(KEYS) do
  for _, id in ipairs(redis.call('LRANGE', list, 0, -1)) do
    local job = redis.call('HMGET', ARGV[1] .. id, 'name', 'timestamp')
    jobs = jobs + 1
    events = events + (tonumber(string.match(job[1] or '', '^%d+')) or 0)
    local at = tonumber(job[2])
    if at and (not oldest or at < oldest) then oldest = at end
  end
end
return { jobs, events, oldest and string.format('%.0f', oldest) or false }`;

/** What is worth knowing without reading the events: how many, and how many of them have their data in state. */
const jobName = (events: number, payloads: number) => `${events} events, ${payloads} in state`;
export const hasPayloads = (name: string) => !name.endsWith(" 0 in state");

/** Opens queues once each; all share `client`. */
export function openQueues(
  client: Redis,
  log: Log,
): (place: QueuePlace) => Promise<PartitionQueue> {
  const opened = new Map<string, Promise<PartitionQueue>>();
  return (place) => {
    const { prefix } = queueNames(place);
    const known = opened.get(prefix);
    if (known) return known;
    const opening = openQueue(client, place, log);
    opened.set(prefix, opening);
    opening.catch(() => opened.delete(prefix)); // the caller has the error; the next one tries again
    return opening;
  };
}

async function openQueue(client: Redis, place: QueuePlace, log: Log): Promise<PartitionQueue> {
  const { queue: queueName, prefix } = queueNames(place);
  const queue = new Queue(queueName, {
    connection: client,
    prefix,
    skipVersionCheck: true,
    // Nobody reads BullMQ's event stream, and it costs 7 % of the throughput.
    streams: { events: { maxLen: 0 } },
  });
  queue.on("error", (error) => log.debug({ queue: prefix, reason: error.message }, "queue error"));
  const limitToOne = async () => {
    await queue.setGlobalConcurrency(1);
  };
  await limitToOne();
  const backend = queue.getBackend();

  return {
    add: async ({ id, events, json, payloads }) => {
      // Not queue.add(): it would make JSON of the JSON.
      await backend.addJob(
        {
          id,
          name: jobName(events, payloads.length),
          data: json,
          opts: {},
          progress: 0,
          attemptsMade: 0,
          timestamp: Date.now(),
        } as JobJson,
        id,
        {},
      );
    },
    waiting: () => client.llen(queue.toKey("wait")),
    backlog: async () => {
      const keys = [queue.toKey("wait"), queue.toKey("active")];
      const answer = await client.eval(backlogScript, 2, ...keys, queue.toKey(""));
      const [jobs, events, oldestAt] = answer as [number, number, string | null];
      return { jobs, events, oldestAt: oldestAt === null ? undefined : Number(oldestAt) };
    },
    isUnfinished: async (jobId) => {
      const state = await queue.getJobState(jobId);
      return state !== "completed" && state !== "unknown";
    },
    limitToOne,
    obliterate: () => queue.obliterate({ force: true }),
  };
}
