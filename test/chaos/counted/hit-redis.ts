import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import type { RedisServer } from "../../redis-server.ts";

/** What a power cut may take from a Redis that syncs every second. */
const lostMs = 2_000;

/** Kills and restarts it, as it was or as it was 2 s before; stops and continues it; or cuts every connection to it. */
export async function hitRedis(
  kind: "redis-restart" | "redis-older" | "redis-stop" | "cut",
  forMs: number,
  redis: RedisServer,
  wentBack: () => void,
): Promise<void> {
  if (kind === "redis-restart") {
    await redis.kill();
    await sleep(forMs);
    return await redis.restart();
  }
  const client = new Redis(redis.url);
  client.on("error", () => {}); // we kill it
  try {
    if (kind === "cut")
      return void (await client.client("KILL", "TYPE", "normal", "SKIPME", "yes"));
    if (kind === "redis-older") {
      const mark = redis.mark();
      await sleep(lostMs);
      await redis.kill();
      await sleep(forMs);
      wentBack();
      return await redis.restart(mark);
    }
    const info = await client.info("server");
    const pid = Number(/^process_id:(\d+)/m.exec(info)?.[1]);
    process.kill(pid, "SIGSTOP");
    await sleep(forMs);
    process.kill(pid, "SIGCONT");
  } finally {
    client.disconnect();
  }
}
