import { setTimeout as sleep } from "node:timers/promises";
import type { Ground } from "./ground.ts";
import type { Fault, RedisFault } from "./schedule.ts";

/** What a power cut may take from a Redis that syncs every second. */
const lostMs = 2_000;

/** Kills a primary and starts it again, as it was or as it was 2 s before; stops and continues it; or cuts every connection. */
export async function hitRedis(
  kind: RedisFault,
  { forMs, which }: Fault,
  { servers, primary, healed }: Ground,
  wentBack: () => void,
): Promise<void> {
  if (kind === "cut") return void (await Promise.all(servers.map(({ cut }) => cut())));
  const server = await primary(String(which));
  switch (kind) {
    case "redis-stop":
      server.freeze();
      await sleep(forMs);
      server.thaw();
      break;
    case "redis-restart":
      await server.kill();
      await sleep(forMs);
      await server.restart();
      break;
    case "redis-older": {
      const mark = server.mark();
      await sleep(lostMs);
      await server.kill();
      await sleep(forMs);
      wentBack();
      await server.restart(mark);
    }
  }
  await healed();
}
