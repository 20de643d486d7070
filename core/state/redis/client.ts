import { Cluster, Redis, type RedisOptions } from "ioredis";
import { isFailedOver } from "./replication.ts";
import { SteadyCluster } from "./steady-cluster.ts";
import type { RedisUrl } from "./url.ts";

/** One connection to a server, or one to each primary of a cluster. Most commands are the same on both. */
export type RedisClient = Redis | Cluster;

export const firstConnectMs = 5_000;
const retryStrategy = (tries: number) => Math.min(tries * 100, 2_000);

/** A client that is not connected yet. Once it is, commands wait for as long as Redis is away. */
export function clientOf(url: RedisUrl, text: string): RedisClient {
  const { kind, hosts, tls, username, password, primary = "", db, sentinelPassword } = url;
  const common = {
    maxRetriesPerRequest: null,
    connectTimeout: firstConnectMs,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls: {} }),
  } satisfies RedisOptions;
  // A fail-over leaves us on a replica: the command is sent again to the new primary. Or on the old primary, which
  // refused it: whoever sent it sends it again.
  const reconnectOnError = (error: Error) =>
    error.message.startsWith("READONLY") ? 2 : isFailedOver(error);
  switch (kind) {
    case "one":
      return new Redis(text, { ...common, lazyConnect: true, retryStrategy, reconnectOnError });
    case "sentinel":
      return new Redis({
        ...common,
        lazyConnect: true,
        retryStrategy,
        reconnectOnError,
        sentinels: [...hosts],
        name: primary,
        sentinelRetryStrategy: retryStrategy,
        // Told at once that there is a new primary, it leaves one that hangs.
        failoverDetector: true,
        ...(db !== undefined && { db }),
        ...(sentinelPassword !== undefined && { sentinelPassword }),
        ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: {} }),
      });
    case "cluster":
      return new SteadyCluster([...hosts], {
        lazyConnect: true,
        redisOptions: common,
        clusterRetryStrategy: retryStrategy,
        maxRedirections: Number.POSITIVE_INFINITY, // a fail-over takes longer than any number of them
        // Certificates name hosts, not addresses.
        ...(tls && { dnsLookup: (host, answer) => answer(null, host) }),
      });
  }
}

/** Each server that takes writes. */
export function primariesOf(client: RedisClient): readonly Redis[] {
  return client instanceof Cluster ? client.nodes("master") : [client];
}
