import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import Libsql from "libsql";
import type { Place } from "../../../core/config/pipeline.ts";
import { startRedisCluster } from "../../redis-cluster.ts";
import { startRedisSentinels } from "../../redis-sentinels.ts";
import { startRedis, type RedisServer } from "../../redis-server.ts";
import type { RedisFault } from "./schedule.ts";

export const grounds = ["embedded", "redis", "cluster", "sentinel"] as const;
export type GroundKind = (typeof grounds)[number];

/** Where queue and state of a pipeline are, and how that is hit. */
export interface Ground {
  readonly place: Place;
  /** What can befall it: a write that a replica has is not lost, so that those with replicas do not go back. */
  readonly faults: readonly RedisFault[];
  readonly servers: readonly RedisServer[];
  /** One that takes writes: in a cluster, for a key. */
  readonly primary: (key: string) => Promise<RedisServer>;
  /** Resolves when it would survive the loss of a primary. */
  readonly healed: () => Promise<void>;
  /**
   * Whether a process that stands still holds what all need: stopped in the midst of a write, it has the embedded file,
   * and nobody can take over before it goes on or dies.
   */
  readonly isHeld: () => Promise<boolean>;
  readonly stop: () => Promise<void>;
}

const unheld = { isHeld: async () => false };
/** Much longer than a write of those that run. */
const lockedForMs = 3_000;
const withReplicas: readonly RedisFault[] = ["redis-restart", "redis-stop", "cut"];

/** Servers of its own; `dir` is for the embedded one. */
export async function openGround(kind: GroundKind, dir: string): Promise<Ground> {
  switch (kind) {
    case "embedded":
      return {
        place: { kind: "embedded", dir },
        faults: [],
        servers: [],
        primary: () => Promise.reject(new Error("nothing runs that could be hit")),
        healed: async () => {},
        isHeld: () => isLocked(join(dir, "sluice.db")),
        stop: async () => {},
      };
    case "redis": {
      const server = await startRedis(["--maxmemory-policy", "noeviction"]);
      return {
        place: { kind: "redis", url: server.url },
        faults: [...withReplicas, "redis-older"],
        servers: [server],
        primary: async () => server,
        healed: async () => {},
        ...unheld,
        stop: server.stop,
      };
    }
    case "cluster": {
      const { url, servers, holderOf, healthy, stop } = await startRedisCluster();
      return {
        place: { kind: "redis", url },
        faults: withReplicas,
        servers,
        primary: async (key) => (await holderOf(key)).primary,
        healed: () => healthy(3),
        ...unheld,
        stop,
      };
    }
    case "sentinel": {
      const { url, servers, stop } = await startRedisSentinels();
      const place = { kind: "redis", url } as const;
      const primary = async () => (await primaryOf(servers)).server;
      const healed = async () => {
        while ((await primaryOf(servers)).online < servers.length - 1) await sleep(100);
      };
      return { place, faults: withReplicas, servers, primary, healed, ...unheld, stop };
    }
  }
}

/** Whether nobody gets to write for a while. */
async function isLocked(path: string): Promise<boolean> {
  const file = new Libsql(path, { timeout: 0 });
  try {
    for (const end = performance.now() + lockedForMs; performance.now() < end; await sleep(10))
      try {
        file.exec("BEGIN IMMEDIATE");
        file.exec("ROLLBACK");
        return false;
      } catch {
        // Somebody writes.
      }
    return true;
  } finally {
    file.close();
  }
}

/** The server that most others follow, and how many those are. */
async function primaryOf(servers: readonly RedisServer[]) {
  const all = await Promise.all(
    servers.map(async (server) => {
      const client = new Redis(server.port, "127.0.0.1", { retryStrategy: () => null });
      client.on("error", () => {}); // it is not up
      const info = await client.info("replication").catch(() => "");
      client.disconnect();
      const online = info.match(/^slave\d+:.*\bstate=online\b/gm)?.length ?? 0;
      return { server, online: /^role:master/m.test(info) ? online : -1 };
    }),
  );
  const [first] = all.toSorted((a, b) => b.online - a.online);
  if (!first) throw new Error("no servers");
  return first;
}
