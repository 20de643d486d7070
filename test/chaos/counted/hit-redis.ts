import { setTimeout as sleep } from "node:timers/promises";
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
  switch (kind) {
    case "cut":
      return await redis.cut();
    case "redis-stop":
      redis.freeze();
      await sleep(forMs);
      return redis.thaw();
    case "redis-restart":
      await redis.kill();
      await sleep(forMs);
      return await redis.restart();
    case "redis-older": {
      const mark = redis.mark();
      await sleep(lostMs);
      await redis.kill();
      await sleep(forMs);
      wentBack();
      return await redis.restart(mark);
    }
  }
}
