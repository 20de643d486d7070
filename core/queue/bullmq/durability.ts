import { Cluster, type Redis } from "ioredis";
import type { Finding, Log } from "../../connector.ts";
import { primariesOf, type RedisClient } from "../../state/redis/client.ts";
import type { RedisPlace } from "../../state/redis/connect.ts";
import { parseHistory } from "../../state/redis/wanted.ts";
import type { Durability } from "../queue.ts";

const weakestFirst = ["memory", "second", "disk"] as const;

/** What is lost here: that of the server which loses most, of those that take writes. */
export async function durabilityOf({
  client,
  replicas,
}: Pick<RedisPlace, "client" | "replicas">): Promise<Durability> {
  const all = await Promise.all(
    primariesOf(client).map(async (server) => [
      await durabilityOfServer(server),
      ...(replicas === 0 ? [await afterFailOver(server, client)] : []),
    ]),
  );
  return weakestFirst.find((level) => all.flat().includes(level)) ?? "memory";
}

/** What the promotion of a replica loses that need not confirm: seconds, and in a cluster of some queues only, which nothing tells. */
async function afterFailOver(server: Redis, client: RedisClient): Promise<Durability> {
  const online = parseHistory(await server.info("replication").catch(() => ""))?.online ?? 0;
  if (online === 0) return "disk";
  return client instanceof Cluster ? "memory" : "second";
}

/** From its settings; where those are hidden, from `INFO`; else the worst. */
async function durabilityOfServer(client: Redis): Promise<Durability> {
  const appendonly = await setting(client, "appendonly");
  if (appendonly === undefined) {
    // Managed Redis hides its settings. What it does not say is not promised.
    const info = await client.info("persistence").catch(() => "");
    return /^aof_enabled:1/m.test(info) ? "second" : "memory";
  }
  if (appendonly !== "yes") return "memory";
  switch (await setting(client, "appendfsync")) {
    case "always":
      return "disk";
    case "everysec":
      return "second";
    case undefined:
    default:
      return "memory"; // "no": the system writes when it likes, up to half a minute late
  }
}

/** What that means, for a check. */
export function durabilityFindings(durability: Durability): readonly Finding[] {
  const code = "queue.durability";
  switch (durability) {
    case "disk":
      return [
        {
          severity: "ok",
          code,
          message: "queue: durability disk, a power loss takes nothing that was acknowledged.",
        },
      ];
    case "second":
      return [
        {
          severity: "ok",
          code,
          message:
            "queue: durability second, a power loss may take the last 2 s; sources confirm 5 s late.",
        },
      ];
    case "memory":
      return [
        {
          severity: "warning",
          code,
          message: "queue: durability memory, any restart of Redis loses what waits.",
          fix: "Run in redis-cli, and set it in redis.conf:\nCONFIG SET appendonly yes\nCONFIG SET appendfsync always",
        },
      ];
  }
}

/** Evicting would delete jobs: worth a warning, once. */
export async function warnOfEviction(
  { client }: Pick<RedisPlace, "client">,
  log: Log,
): Promise<void> {
  const policies = await Promise.all(primariesOf(client).map(policyOf));
  const policy = policies.find((one) => one !== undefined && one !== "noeviction");
  if (policy !== undefined)
    log.warn(
      { policy, fix: "CONFIG SET maxmemory-policy noeviction" },
      "redis may evict jobs when it is full",
    );
}

async function policyOf(client: Redis): Promise<string | undefined> {
  return (
    (await setting(client, "maxmemory-policy")) ??
    /^maxmemory_policy:(\S+)/m.exec(await client.info("memory").catch(() => ""))?.[1]
  );
}

async function setting(client: Redis, name: string): Promise<string | undefined> {
  try {
    const answer = await client.config("GET", name);
    return Array.isArray(answer) && typeof answer[1] === "string" ? answer[1] : undefined;
  } catch {
    return undefined; // CONFIG is forbidden here: the caller has another way
  }
}
