import type { Redis } from "ioredis";
import type { Finding, Log } from "../../connector.ts";
import type { Durability } from "../queue.ts";

/** What this Redis loses, from its settings; where those are hidden, from `INFO`; else the worst. */
export async function durabilityOf(client: Redis): Promise<Durability> {
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
      return [{ severity: "ok", code, message: "queue: durability disk, nothing is ever lost." }];
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
export async function warnOfEviction(client: Redis, log: Log): Promise<void> {
  const policy =
    (await setting(client, "maxmemory-policy")) ??
    /^maxmemory_policy:(\S+)/m.exec(await client.info("memory").catch(() => ""))?.[1];
  if (policy !== undefined && policy !== "noeviction")
    log.warn(
      { policy, fix: "Set maxmemory-policy to noeviction." },
      "redis may evict jobs when it is full",
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
