import { Cluster, ReplyError } from "ioredis";
import type { Log } from "../../connector.ts";
import { RetryableError } from "../../errors.ts";
import { toRedisError, type RedisPlace } from "../../state/redis/connect.ts";

/** One run of the Redis server, from its start to its end. */
export interface ServerRun {
  /** Redis's `run_id`; empty where the server tells none, or where nothing that counts can be lost with it. */
  readonly id: string;
  /** Aborts once another run is seen. */
  readonly over: AbortSignal;
}

/** Asks the server which run it is in; waits for as long as it is away. */
export type CurrentRun = () => Promise<ServerRun>;

/**
 * Follows the runs of a server. One that ends may take with it what was written last: whoever then goes
 * on writing puts what is newer before what will be written again (Invariant 2). Where replicas confirm each write
 * nothing is lost, and a cluster without them has no one run: there, the run never ends.
 */
export function openServerRuns(
  { client, replicas }: Pick<RedisPlace, "client" | "replicas">,
  log: Log,
): CurrentRun {
  if (client instanceof Cluster || replicas > 0) {
    const endless = { id: "", over: new AbortController().signal };
    return async () => endless;
  }
  let known: { readonly id: string; readonly end: AbortController } | undefined;

  const current: CurrentRun = async () => {
    const id = runOf(await client.info("server").catch(unlessForbidden));
    if (known?.id !== id) {
      if (known) log.warn({}, "redis was restarted: what publishes begins again at its checkpoint");
      known?.end.abort(restarted());
      known = { id, end: new AbortController() };
    }
    return { id, over: known.end.signal };
  };
  client.on("ready", () => {
    current().catch((error: unknown) => log.debug({ error }, "redis does not tell its run"));
  });
  return current;
}

/** Then nothing is noticed here; a checkpoint that went back is, a little later. */
function unlessForbidden(error: unknown): string {
  if (error instanceof ReplyError) return "";
  throw toRedisError(error);
}

function runOf(info: string): string {
  return /^run_id:(\w+)/m.exec(info)?.[1] ?? "";
}

/**
 * Lua: whether the server is in the run that `ARGV[1]` names, where it names one. In the very script that
 * writes, because a client repeats a command on whatever server it finds.
 */
export const isInRun = `
local function isInRun(run)
  if run == '' then return true end
  local told = redis.pcall('INFO', 'server')
  return type(told) ~= 'string' or string.match(told, 'run_id:(%w+)') == run
end`;

export function restarted(): RetryableError {
  return new RetryableError("redis: restarted, and may have lost what was published last.", {
    code: "redis.restarted",
    reason: "unreachable",
  });
}
