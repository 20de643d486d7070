import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { startRedis, startServer, type RedisServer } from "./redis-server.ts";

export interface RedisSentinels {
  readonly url: string;
  /** The primary at the start, then its two replicas. */
  readonly servers: readonly RedisServer[];
  readonly stop: () => Promise<void>;
}

const name = "main";

/** A primary, two replicas and three sentinels on loopback. A dead primary is replaced within some 5 s. */
export async function startRedisSentinels(args: readonly string[] = []): Promise<RedisSentinels> {
  const started: RedisServer[] = [];
  const start = async () => {
    const server = await startRedis(["--repl-diskless-sync-delay", "0", ...args]);
    started.push(server);
    return server;
  };
  const stop = async () => void (await Promise.all(started.map((server) => server.stop())));
  try {
    const primary = await start();
    const replicas = [await start(), await start()];
    const servers = [primary, ...replicas];
    // Not by an argument: one that is promoted and started again would follow once more.
    for (const { port } of replicas) await follow(port, primary.port);
    await until(primary.port, async (client) =>
      /^connected_slaves:2[^]*state=online[^]*state=online/m.test(await client.info("replication")),
    );
    const sentinels: RedisServer[] = [];
    for (let at = 0; at < 3; at++) {
      const sentinel = await startServer(({ port, dir }) => {
        const file = join(dir, "sentinel.conf");
        const lines = [
          `port ${port}`,
          "bind 127.0.0.1",
          `dir ${dir}`,
          `sentinel monitor ${name} 127.0.0.1 ${primary.port} 2`,
          `sentinel down-after-milliseconds ${name} 1500`,
          `sentinel failover-timeout ${name} 6000`,
        ];
        writeFileSync(file, lines.join("\n"));
        return [file, "--sentinel"];
      });
      started.push(sentinel);
      sentinels.push(sentinel);
    }
    for (const { port } of sentinels)
      await until(port, async (client) => {
        const text = JSON.stringify(await client.call("SENTINEL", "MASTER", name));
        return /"num-slaves","2"/.test(text) && /"num-other-sentinels","2"/.test(text);
      });
    const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(",");
    return { url: `redis+sentinel://${hosts}/${name}`, servers, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function follow(port: number, primary: number): Promise<void> {
  const client = new Redis(port, "127.0.0.1");
  await client.replicaof("127.0.0.1", primary);
  client.disconnect();
}

async function until(port: number, condition: (client: Redis) => Promise<boolean>): Promise<void> {
  const client = new Redis(port, "127.0.0.1");
  const deadline = performance.now() + 30_000;
  try {
    while (!(await condition(client))) {
      if (performance.now() > deadline) throw new Error("the sentinels did not agree in 30 s");
      await sleep(50);
    }
  } finally {
    client.disconnect();
  }
}
