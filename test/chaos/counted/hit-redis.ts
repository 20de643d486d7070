import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import type { RedisServer } from "../../redis-server.ts";

/** Kills and restarts it, stops and continues it, or cuts every connection to it. */
export async function hitRedis(
  kind: "redis-restart" | "redis-stop" | "cut",
  forMs: number,
  redis: RedisServer,
): Promise<void> {
  if (kind === "redis-restart") {
    await redis.kill();
    await sleep(forMs);
    return await redis.restart();
  }
  const client = new Redis(redis.url);
  try {
    if (kind === "cut")
      return void (await client.client("KILL", "TYPE", "normal", "SKIPME", "yes"));
    const info = await client.info("server");
    const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1]);
    process.kill(pid, "SIGSTOP");
    await sleep(forMs);
    process.kill(pid, "SIGCONT");
  } finally {
    client.disconnect();
  }
}
