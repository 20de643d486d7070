import { Cluster, type Redis } from "ioredis";
import type { Finding } from "../../connector.ts";
import { primariesOf } from "./client.ts";
import { nameTheCluster, toRedisError, type RedisPlace } from "./connect.ts";
import { redisPlace } from "./url.ts";
import { parseHistory } from "./wanted.ts";

/** What is wrong, or may go wrong, with a Redis that answers: version, role, cluster, eviction, replicas. */
export async function checkRedis(redis: RedisPlace, url: string): Promise<readonly Finding[]> {
  const { client, replicas } = redis;
  const place = redisPlace(url) ?? "redis";
  const isCluster = client instanceof Cluster;
  const found = await Promise.all(
    primariesOf(client).map((server) => {
      const { host, port } = server.options;
      const named = isCluster ? `${host}:${port} of ${place}` : place;
      return checkServer(server, { place: named, isCluster, replicas });
    }),
  );
  return found.flat();
}

async function checkServer(
  client: Redis,
  expected: { readonly place: string; readonly isCluster: boolean; readonly replicas: number },
): Promise<readonly Finding[]> {
  const { place, isCluster, replicas } = expected;
  const info = await client.info().catch((error: unknown) => {
    throw toRedisError(error);
  });
  const fact = (name: string) => new RegExp(`^${name}:(.*?)\r?$`, "m").exec(info)?.[1];
  const version = fact("redis_version") ?? "unknown";
  const found: Finding[] = [
    {
      severity: "ok",
      code: "redis.ready",
      message: `redis: ${place} answers, version ${version}.`,
    },
  ];
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < 5 || (major < 7 && (major < 6 || minor < 2)))
    found.push({
      severity: major < 5 ? "error" : "warning",
      code: "redis.version",
      message: `redis: version ${version} of ${place} is old.`,
      fix: "Use 6.2 or newer; 5.0 is the least that works.",
    });
  if (fact("cluster_enabled") === "1" && !isCluster) {
    const isAlone = /^cluster_size:[01]\r?$/m.test(await client.cluster("INFO"));
    found.push({
      severity: isAlone ? "warning" : "error",
      code: "redis.cluster",
      message: isAlone
        ? `redis: ${place} is in cluster mode: it works while this one server has all keys.`
        : `redis: ${place} is part of a cluster, which keeps keys on other servers too.`,
      fix: nameTheCluster,
    });
  }
  const online = parseHistory(info)?.online ?? 0;
  if (online < replicas)
    found.push({
      severity: "warning",
      code: "redis.replicas",
      message: `redis: ${place} has ${online} replicas, ${replicas} should confirm each write: losing it may lose what was confirmed.`,
      fix: "Start its replicas, or say how many there are: ?replicas=0 at the end of the URL.",
    });
  const policy = fact("maxmemory_policy") ?? "noeviction";
  const isLimited = fact("maxmemory") !== "0";
  if (policy !== "noeviction")
    found.push({
      severity: isLimited ? "error" : "warning",
      code: "redis.evicts",
      message: `redis: ${place} deletes keys ${isLimited ? "when it is full" : "once it is given a maxmemory and is full"} (maxmemory-policy ${policy}): events and state would vanish.`,
      fix: "Run in redis-cli, and set it in redis.conf:\nCONFIG SET maxmemory-policy noeviction",
    });
  return found;
}
