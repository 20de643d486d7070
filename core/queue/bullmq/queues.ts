import { Queue, type JobJson } from "bullmq";
import type { Log } from "../../connector.ts";
import type { SluiceEvent } from "../../event.ts";
import { toRedisError, type RedisPlace } from "../../state/redis/connect.ts";
import { failedOverReply, isInHistory } from "../../state/redis/replication.ts";
import type { Fence } from "../../state/state.ts";
import type { JobData } from "./events.ts";
import {
  bodiesKey,
  jobKey,
  jobOf,
  pieceKeys,
  publishersKey,
  queueNames,
  type QueuePlace,
} from "./names.ts";
import { fencedPublisher } from "../fenced-publisher.ts";
import type { Records } from "../queue.ts";
import { withoutRecords } from "../without.ts";
import type { NewJob } from "./new-jobs.ts";
import { isInRun, restarted } from "./server-run.ts";

const orphanedAfterMs = 24 * 60 * 60 * 1_000;

/** One of BullMQ's queues, with the few things we do to it. */
export interface PartitionQueue {
  /**
   * First the events, then the job that makes them visible. The same id again adds nothing, as long as the first one is known.
   * On a server in another run than `serverRun` it rejects with `redis.restarted`; the job may be there, without events.
   * Rejects with `FencedError` once a later holder of the `fence`'s lease has added a job here.
   */
  readonly add: (
    job: NewJob,
    at: { readonly serverRun: string; readonly history: string; readonly fence?: Fence },
  ) => Promise<void>;
  /** Runs `add` and resolves once no fail-over can take it back; runs it again, in another history, where one did. */
  readonly kept: (add: (history: string) => Promise<void>) => Promise<void>;
  /** Jobs waiting; the one being worked on is not counted. */
  readonly waiting: () => Promise<number>;
  /** Jobs and events not yet acknowledged, and since when (`Date.now()`) the oldest is there. */
  readonly backlog: () => Promise<{
    readonly jobs: number;
    readonly events: number;
    readonly oldestAt: number | undefined;
  }>;
  /** The events of the job that is next. Takes nothing. */
  readonly peek: (skip: number) => Promise<readonly SluiceEvent[]>;
  /** Removes events of no unfinished job: a publisher died before it added one, or a worker after it completed one. */
  readonly sweep: () => Promise<void>;
  /** Order needs it, and it lives in Redis where a wipe takes it away: every worker sets it before it starts. Not who only looks: a full Redis refuses it. */
  readonly limitToOne: () => Promise<void>;
  /** Takes the events of records out of the jobs, and says how many it was. */
  readonly erase: (records: Records) => Promise<number>;
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

/** Opens queues once each; all share one client. */
export function openQueues(
  redis: RedisPlace,
  log: Log,
): (place: QueuePlace) => Promise<PartitionQueue> {
  const opened = new Map<string, Promise<PartitionQueue>>();
  return (place) => {
    const { prefix } = queueNames(place);
    const known = opened.get(prefix);
    if (known) return known;
    const opening = openQueue(redis, place, log);
    opened.set(prefix, opening);
    opening.catch(() => opened.delete(prefix)); // the caller has the error; the next one tries again
    return opening;
  };
}

/**
 * KEYS: the events, the publishers. ARGV: the run of the server, its history, a piece's key, the piece, the publisher's
 * lease ('' = nobody's), its token, the job, its pieces, what a job's key begins with.
 *
 * A client that lost its connection sends again what was on its way, also what its sender gave up long ago. So the first
 * put of a lease's next holder looks for the job of the one before: if that is not there yet, its events are taken
 * away, and it brings nothing when it comes. There is one at most, for a job is added before the next one's events are put.
 */
const putScript = `${isInRun}${isInHistory}
local run, history, piece, json, lease, token, job, pieces, jobs = unpack(ARGV)
if not isInRun(run) then return 0 end
if not isInHistory(history) then return ${failedOverReply} end
if lease ~= '' then
  local last = redis.call('HGET', KEYS[2], lease)
  if last then
    local lastToken, lastJob, lastPieces = string.match(last, '^(%d+) (%S+) (%d+)$')
    if tonumber(lastToken) > tonumber(token) then return redis.error_reply('FENCED by a later holder') end
    if lastToken ~= token and redis.call('EXISTS', jobs .. lastJob) == 0 then
      for at = 0, lastPieces - 1 do
        local key = lastJob .. '/' .. at
        if redis.call('HEXISTS', KEYS[1], key) == 1 then redis.call('HSET', KEYS[1], key, '[]') end
      end
    end
  end
  redis.call('HSET', KEYS[2], lease, token .. ' ' .. job .. ' ' .. pieces)
end
redis.call('HSET', KEYS[1], piece, json)
return 1`;

const replaceScript = `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`;

async function openQueue(
  { client, replication }: RedisPlace,
  place: QueuePlace,
  log: Log,
): Promise<PartitionQueue> {
  const names = queueNames(place);
  const { prefix } = names;
  const bodies = bodiesKey(names);
  const publishers = publishersKey(names);
  const queue = new Queue(names.queue, {
    connection: client,
    prefix,
    skipVersionCheck: true,
    // Nobody reads BullMQ's event stream, and it costs 7 % of the throughput.
    streams: { events: { maxLen: 0 } },
  });
  queue.on("error", (error) => log.debug({ queue: prefix, reason: error.message }, "queue error"));
  const limitToOne = async () => {
    await queue.setGlobalConcurrency(1).catch((error: unknown) => {
      throw toRedisError(error);
    });
  };
  const backend = queue.getBackend();

  return {
    add: async ({ id, events, pieces }, { serverRun, history, fence }) => {
      const jobs = jobKey(names, "");
      const by = [fence?.lease ?? "", fence?.token ?? 0, id, pieces.length, jobs];
      const puts = pieceKeys(id, pieces.length).map((key, at) => {
        const piece = pieces[at] ?? "[]";
        return client.eval(putScript, 2, bodies, publishers, serverRun, history, key, piece, ...by);
      });
      const done = await Promise.all(puts).catch((error: unknown) => {
        throw fence && isFenced(error) ? fencedPublisher(fence) : error;
      });
      if (done.includes(0)) throw restarted();
      const data = JSON.stringify({ pieces: pieces.length, serverRun } satisfies JobData);
      const job = { id, name: `${events} events`, data, opts: {}, progress: 0 };
      await backend.addJob({ ...job, attemptsMade: 0, timestamp: Date.now() } as JobJson, id);
    },
    kept: (add) => replication.kept(prefix, add, { repeatable: true }),
    waiting: () => client.llen(queue.toKey("wait")),
    backlog: async () => {
      const keys = [queue.toKey("wait"), queue.toKey("active")];
      const answer = await client.eval(backlogScript, 2, ...keys, queue.toKey(""));
      const [jobs, events, oldestAt] = answer as [number, number, string | null];
      return { jobs, events, oldestAt: oldestAt === null ? undefined : Number(oldestAt) };
    },
    peek: async (skip) => {
      const id = await client.lindex(queue.toKey("wait"), -1 - skip);
      const data = id === null ? null : await client.hget(queue.toKey(id), "data");
      if (id === null || data === null) return [];
      const { pieces } = JSON.parse(data) as { readonly pieces: number }; // written by `add`
      const found = await client.hmget(bodies, ...pieceKeys(id, pieces));
      return found.flatMap((piece) => JSON.parse(piece ?? "[]") as SluiceEvent[]); // gone: taken just now
    },
    sweep: async () => {
      for (const key of await client.hkeys(bodies)) {
        if (Date.now() - parseInt(key, 36) < orphanedAfterMs) continue;
        const state = await queue.getJobState(jobOf(key));
        if (state === "completed" || state === "unknown") await client.hdel(bodies, key);
      }
    },
    erase: async (records) => {
      let erased = 0;
      let cursor = "0";
      do {
        const [next, found] = await client.hscan(bodies, cursor, "COUNT", 20);
        cursor = next;
        for (let at = 0; at < found.length; at += 2) {
          const [key = "", json = ""] = found.slice(at, at + 2);
          const rest = withoutRecords(json, records);
          if (rest === undefined) continue;
          // Unless it was completed meanwhile: then it is gone with its job.
          const done = await client.eval(replaceScript, 1, bodies, key, rest.json);
          if (done === 1) erased += rest.removed;
        }
      } while (cursor !== "0");
      return erased;
    },
    limitToOne,
    obliterate: async () => {
      // First and at once: BullMQ needs memory for what follows, and this is what fills it.
      await client.del(bodies, publishers);
      // Two may do this at once: the other's end takes away that it is paused.
      await queue.obliterate({ force: true }).catch(async (error: unknown) => {
        if (!String(error).includes("non-paused")) throw error;
        await queue.obliterate({ force: true });
      });
      await client.del(bodies, publishers);
    },
  };
}

function isFenced(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("FENCED");
}
