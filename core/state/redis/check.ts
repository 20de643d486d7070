import type { Redis } from "ioredis";
import type { Finding } from "../../connector.ts";
import { toRedisError, useOneServer } from "./connect.ts";
import { redisPlace } from "./url.ts";

/** What is wrong, or may go wrong, with a Redis that answers: version, role, cluster, eviction. */
export async function checkRedis(client: Redis, url: string): Promise<readonly Finding[]> {
  const place = redisPlace(url) ?? "redis";
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
  if (fact("cluster_enabled") === "1") {
    const isAlone = /^cluster_size:[01]\r?$/m.test(await client.cluster("INFO"));
    found.push({
      severity: isAlone ? "warning" : "error",
      code: "redis.cluster",
      message: isAlone
        ? `redis: ${place} is in cluster mode: it works while this one server has all keys.`
        : `redis: ${place} is part of a cluster, which keeps keys on other servers too.`,
      fix: useOneServer,
    });
  }
  const policy = fact("maxmemory_policy") ?? "noeviction";
  if (policy !== "noeviction" && fact("maxmemory") !== "0")
    found.push({
      severity: "error",
      code: "redis.evicts",
      message: `redis: ${place} deletes keys when it is full (maxmemory-policy ${policy}): events and state would vanish.`,
      fix: "Run in redis-cli, and set it in redis.conf:\nCONFIG SET maxmemory-policy noeviction",
    });
  return found;
}
