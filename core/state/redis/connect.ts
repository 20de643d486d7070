import { Redis, type RedisOptions } from "ioredis";
import type { Log } from "../../connector.ts";
import { ConfigError, RetryableError, SluiceError } from "../../errors.ts";
import { redisPlace } from "./url.ts";

export const useOneServer =
  "Name a Redis that is not in cluster mode; a replica makes it highly available.";
const firstConnectMs = 5_000;
const newestFormat = 1;

/**
 * Connects to the Redis at `url` (`redis://` or `rediss://`, user, password and database number
 * included). Once open, commands wait for as long as Redis is away. The first connect does not: a
 * wrong address throws `RetryableError` `redis.unreachable` after 5 s, wrong credentials
 * `ConfigError` `redis.unauthorized` at once, data of a newer Sluice `ConfigError` `state.format-newer`.
 */
export async function connectRedis(options: {
  readonly url: string;
  readonly project: string;
  readonly log: Log;
}): Promise<Redis> {
  const { url, project, log } = options;
  const place = placeOf(url);
  const client = new Redis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: null,
    connectTimeout: firstConnectMs,
    retryStrategy: (tries) => Math.min(tries * 100, 2_000),
    // A fail-over leaves us on a replica: the command is sent again to the new primary.
    reconnectOnError: (error) => (error.message.startsWith("READONLY") ? 2 : false),
  } satisfies RedisOptions);
  try {
    await firstConnect(client, place);
    await refuseReplica(client, place);
    await checkFormat(client, project, place);
  } catch (error) {
    client.disconnect();
    throw error;
  }
  reportOutages(client, place, log);
  return client;
}

/** What a rejected command means to the runner. Foreign errors of ioredis are never passed on: they hold the command's arguments. */
export function toRedisError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (message.startsWith("OOM"))
    return new RetryableError(`redis: out of memory (${message}).`, {
      code: "redis.full",
      reason: "refused",
      fix: "Raise maxmemory, or let the consumers drain the queues.",
    });
  if (/^(MOVED|ASK|CLUSTERDOWN|CROSSSLOT)\b/.test(message))
    return new ConfigError(`redis: part of a cluster, which keeps keys elsewhere (${message}).`, {
      code: "redis.cluster",
      fix: useOneServer,
    });
  if (/connection is closed|connection is in closing/i.test(message))
    return new RetryableError(`redis: ${message}`, {
      code: "redis.unreachable",
      reason: "unreachable",
    });
  return new RetryableError(`redis: ${message}`, { code: "redis.refused", reason: "refused" });
}

async function firstConnect(client: Redis, place: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let last = "no answer";
  let onError = (_error: Error): void => {};
  try {
    await new Promise<void>((resolve, reject) => {
      onError = (error) => {
        last = error.message;
        const refusal = toRefusal(error.message, place);
        if (refusal) reject(refusal);
      };
      client.on("error", onError);
      client.once("ready", resolve);
      timer = setTimeout(
        () =>
          reject(
            new RetryableError(`redis: ${place} cannot be reached (${last}).`, {
              code: "redis.unreachable",
              reason: "unreachable",
              fix: "Start Redis there, or correct the address in `queue` (or SLUICE_QUEUE).",
            }),
          ),
        firstConnectMs,
      );
      // Its failures arrive as `error` events too, and the retries go on.
      client.connect().catch(onError);
    });
  } finally {
    clearTimeout(timer);
    client.off("error", onError);
  }
}

function toRefusal(message: string, place: string): ConfigError | undefined {
  if (/WRONGPASS|NOAUTH|NOPERM|invalid password|without any password/i.test(message))
    return new ConfigError(`redis: ${place} refuses the user or password.`, {
      code: "redis.unauthorized",
      fix: "Put valid credentials into the URL: redis://USER:PASSWORD@HOST:PORT (percent-encoded).",
    });
  if (/DB index is out of range/i.test(message))
    return new ConfigError(`redis: ${place} has no such database.`, {
      code: "redis.database",
      fix: "Use a database number below the server's `databases` setting (16 by default).",
    });
  return undefined;
}

/** Writing to one would be tried again and again, as after a fail-over, where it becomes a primary. */
async function refuseReplica(client: Redis, place: string): Promise<void> {
  const info = await client.info("replication").catch(() => ""); // forbidden here: it shows with the first write
  if (/^role:slave/m.test(info))
    throw new RetryableError(`redis: ${place} is a replica, which takes no writes.`, {
      code: "redis.replica",
      reason: "refused",
      fix: "Name its primary.",
    });
}

async function checkFormat(client: Redis, project: string, place: string): Promise<void> {
  const key = `sluice:{${encodeURIComponent(project)}}:format`;
  const found = await client.get(key).catch((error: unknown) => {
    throw toRedisError(error);
  });
  // Only looking must be possible on a Redis that is full.
  if (found === null)
    await client.setnx(key, newestFormat).catch((error: unknown) => {
      throw toRedisError(error);
    });
  if (Number(found) > newestFormat)
    throw new ConfigError(
      `redis: project "${project}" on ${place} was written in format ${found}, newer than ${newestFormat}.`,
      {
        code: "state.format-newer",
        fix: "Use the version of Sluice that wrote it, or another project name.",
      },
    );
}

/** An outage is worth one line when it begins and one when it ends, not one a retry. */
function reportOutages(client: Redis, place: string, log: Log): void {
  let away = false;
  let reason = "connection closed";
  client.on("error", (error) => {
    reason = error.message;
  });
  client.on("reconnecting", () => {
    if (away) return;
    away = true;
    log.warn({ redis: place, reason }, "redis is away: waiting for it");
  });
  client.on("ready", () => {
    if (away) log.info({ redis: place }, "redis is back");
    away = false;
  });
}

/** The URL without credentials, for messages. */
function placeOf(url: string): string {
  const place = redisPlace(url);
  if (place !== undefined) return place;
  throw new ConfigError("redis: the URL is not redis://HOST:PORT or rediss://HOST:PORT.", {
    code: "redis.url",
    fix: 'Write "queue": "redis://localhost:6379", and percent-encode user and password.',
  });
}
