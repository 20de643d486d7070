import { Cluster } from "ioredis";
import type { Log } from "../../connector.ts";
import { ConfigError, RetryableError, SluiceError } from "../../errors.ts";
import { clientOf, firstConnectMs, type RedisClient } from "./client.ts";
import { answered, openProbe } from "./probe.ts";
import { openReplication, unreplicated, type Replication } from "./replication.ts";
import { parseRedisUrl, redisForms, wrongRedisOption, type RedisUrl } from "./url.ts";

export const nameTheCluster = "Name it as a cluster: redis+cluster://HOST:PORT,HOST:PORT.";
const newestFormat = 1;

/** An open Redis, whatever its form. */
export interface RedisPlace {
  readonly client: RedisClient;
  readonly replication: Replication;
  /** How many replicas must have a write before it counts. */
  readonly replicas: number;
  /** Resolves while it can be used; rejects with why it cannot (`openProbe`). */
  readonly probe: () => Promise<void>;
  readonly close: () => void;
}

/**
 * Connects to the Redis at `url`: one server, a cluster or what sentinels call by a name (`redisForms`). Once open, commands wait for as long as Redis is away. Opening does not: a
 * wrong address throws `RetryableError` `redis.unreachable` after 5 s, a server that stands still after 3 s, wrong credentials
 * `ConfigError` `redis.unauthorized` at once, data of a newer Sluice `ConfigError` `state.format-newer`.
 */
export async function connectRedis(options: {
  readonly url: string;
  readonly project: string;
  readonly log: Log;
}): Promise<RedisPlace> {
  const { project, log } = options;
  const url = urlOf(options.url);
  const { place, replicas } = url;
  const client = clientOf(url, options.url);
  reportOutages(client, place, log);
  try {
    await firstConnect(client, url);
    const checks = refuseReplica(client, place).then(() => checkFormat(client, project, place));
    await answered(checks, place);
  } catch (error) {
    client.disconnect();
    throw error;
  }
  const probe = openProbe({ client, project, place });
  const replication = replicas === 0 ? unreplicated : replicationOf(url, options.url, log);
  return {
    client,
    replication,
    replicas,
    probe: () =>
      probe().catch((error: unknown) => {
        throw toRedisError(error);
      }),
    close: () => {
      client.disconnect();
      replication.close();
    },
  };
}

function replicationOf(url: RedisUrl, text: string, log: Log): Replication {
  const { place, replicas } = url;
  const client = clientOf(url, text);
  client.on("error", () => {}); // it connects again; whether Redis is away is told by the other client
  return openReplication({ client, replicas, place, log });
}

/** What a rejected command means to the runner. Foreign errors of ioredis are never passed on: they hold the command's arguments. */
export function toRedisError(error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (message.startsWith("OOM"))
    return new RetryableError(
      `redis: full, it takes nothing more (${message.replace(/\.? script: .*/, "")}).`,
      {
        code: "redis.full",
        reason: "refused",
        fix: "Raise maxmemory, or let the consumers drain the queues.",
      },
    );
  if (/^(MOVED|ASK|CLUSTERDOWN|CROSSSLOT)\b/.test(message))
    return new ConfigError(`redis: part of a cluster, which keeps keys elsewhere (${message}).`, {
      code: "redis.cluster",
      fix: nameTheCluster,
    });
  if (/connection is closed|connection is in closing/i.test(message))
    return new RetryableError(`redis: ${message}`, {
      code: "redis.unreachable",
      reason: "unreachable",
    });
  return new RetryableError(`redis: ${message}`, { code: "redis.refused", reason: "refused" });
}

async function firstConnect(client: RedisClient, url: RedisUrl): Promise<void> {
  const { place } = url;
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
      // What single servers of a cluster say, which its own error hides.
      if (client instanceof Cluster) client.on("node error", onError);
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
    client.off("node error", onError);
  }
}

function toRefusal(message: string, place: string): ConfigError | undefined {
  if (/WRONGPASS|NOAUTH|NOPERM|invalid password|without any password/i.test(message))
    return new ConfigError(`redis: ${place} refuses the user or password.`, {
      code: "redis.unauthorized",
      fix: "Put valid credentials into the URL: redis://USER:PASSWORD@HOST:PORT (percent-encoded).",
    });
  if (/cluster support disabled/i.test(message))
    return new ConfigError(`redis: ${place} is no cluster.`, {
      code: "redis.no-cluster",
      fix: "Name it as one server: redis://HOST:PORT.",
    });
  if (/DB index is out of range/i.test(message))
    return new ConfigError(`redis: ${place} has no such database.`, {
      code: "redis.database",
      fix: "Use a database number below the server's `databases` setting (16 by default).",
    });
  return undefined;
}

/** Writing to one would be tried again and again, as after a fail-over, where it becomes a primary. */
async function refuseReplica(client: RedisClient, place: string): Promise<void> {
  if (client instanceof Cluster) return; // it sends writes to primaries only
  const info = await client.info("replication").catch(() => ""); // forbidden here: it shows with the first write
  if (/^role:slave/m.test(info))
    throw new RetryableError(`redis: ${place} is a replica, which takes no writes.`, {
      code: "redis.replica",
      reason: "refused",
      fix: "Name its primary.",
    });
}

async function checkFormat(client: RedisClient, project: string, place: string): Promise<void> {
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

/** Each connection by itself; of an outage people hear once, by `watchOutages`. */
function reportOutages(client: RedisClient, place: string, log: Log): void {
  let away = false;
  let reason = "connection closed";
  client.on("error", (error) => {
    reason = error.message;
  });
  client.on("reconnecting", () => {
    if (away) return;
    away = true;
    log.debug({ redis: place, reason }, "redis is away: waiting for it");
  });
  client.on("ready", () => {
    if (away) log.debug({ redis: place }, "redis is back");
    away = false;
  });
}

function urlOf(text: string): RedisUrl {
  const url = parseRedisUrl(text);
  if (url) return url;
  const option = wrongRedisOption(text);
  if (option !== undefined)
    throw new ConfigError(`redis: ${option}.`, {
      code: "redis.url",
      fix: "Correct what follows the ? of the URL, or leave it out.",
    });
  throw new ConfigError(`redis: the URL is not ${redisForms}.`, {
    code: "redis.url",
    fix: 'Write "queue": "redis://localhost:6379", and percent-encode user and password.',
  });
}
