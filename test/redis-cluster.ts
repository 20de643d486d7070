import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { freePort, startRedis, type RedisServer } from "./redis-server.ts";

export interface RedisCluster {
  readonly url: string;
  /** Three primaries, then the replica of each, as they were at the start. */
  readonly servers: readonly RedisServer[];
  /** The server that answers for a key now, and what follows it. */
  readonly holderOf: (key: string) => Promise<{
    readonly primary: RedisServer;
    readonly replicas: readonly RedisServer[];
  }>;
  /** Resolves when every slot has a primary, and so many replicas follow them. */
  readonly healthy: (replicas: number) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A cluster on loopback: three primaries with a replica each. A dead one is replaced within some 4 s. */
export async function startRedisCluster(args: readonly string[] = []): Promise<RedisCluster> {
  const servers = await Promise.all(Array.from({ length: 6 }, () => startNode(args)));
  try {
    return await joined(servers);
  } catch (error) {
    await Promise.all(servers.map(({ stop }) => stop()));
    throw error;
  }
}

const nodeTimeoutMs = 2_000;
const slots = 16_384;

async function startNode(args: readonly string[]) {
  const bus = await freePort();
  const settings = `--cluster-enabled yes --cluster-port ${bus} --cluster-node-timeout ${nodeTimeoutMs} --repl-diskless-sync-delay 0`;
  return { ...(await startRedis([...settings.split(" "), ...args])), bus };
}

async function joined(
  servers: readonly (RedisServer & { readonly bus: number })[],
): Promise<RedisCluster> {
  const ports = servers.map(({ port }) => port);
  const clients = servers.map(({ port }) => {
    const client = new Redis(port, "127.0.0.1", { maxRetriesPerRequest: null });
    client.on("error", () => {}); // one that was killed
    return client;
  });
  const [first] = clients;
  if (!first) throw new Error("no servers");
  const ids = await Promise.all(clients.map((client) => client.cluster("MYID")));
  const primaries = clients.slice(0, 3);
  await Promise.all(
    primaries.map(async (client, at) => {
      const range = [at, at + 1].map((n) => Math.floor((n * slots) / 3));
      await client.call("CLUSTER", "ADDSLOTSRANGE", range[0] ?? 0, (range[1] ?? slots) - 1);
    }),
  );
  await Promise.all(
    clients.map((client, at) => client.call("CLUSTER", "SET-CONFIG-EPOCH", at + 1)),
  );
  for (const { port, bus } of servers.slice(1))
    await first.call("CLUSTER", "MEET", "127.0.0.1", port, bus);
  await until(async () =>
    (await Promise.all(clients.map((client) => nodesOf(client)))).every(
      (nodes) => nodes.length === 6 && nodes.every(({ isUp }) => isUp),
    ),
  );
  await Promise.all(
    clients.slice(3).map((client, at) => client.call("CLUSTER", "REPLICATE", ids[at] ?? "")),
  );

  const healthy = async (replicas: number) => {
    await until(async () => {
      const infos = await Promise.all(
        clients
          .filter(({ status }) => status === "ready")
          .map(async (client) => ({
            state: await client.cluster("INFO"),
            replication: await client.info("replication"),
            nodes: String(await client.cluster("NODES")),
          })),
      );
      const following = infos.filter(
        ({ replication }) =>
          /^role:slave/m.test(replication) && /^master_link_status:up/m.test(replication),
      );
      // Each must have heard of it, or it may name no replica.
      const isKnown = infos.every(
        ({ state, nodes }) =>
          /^cluster_state:ok/m.test(state) &&
          nodes.match(/ (?:myself,)?slave [^]*? connected/g)?.length === replicas,
      );
      return isKnown && following.length === replicas;
    });
  };
  await healthy(3);

  return {
    url: `redis+cluster://${ports.map((port) => `127.0.0.1:${port}`).join(",")}`,
    servers,
    healthy,
    holderOf: async (key) => {
      const alive = clients.find(({ status }) => status === "ready");
      if (!alive) throw new Error("no server answers");
      const slot = await alive.cluster("KEYSLOT", key);
      const ranges = await alive.cluster("SLOTS");
      const [, , ...nodes] = ranges.find(([from, to]) => from <= slot && slot <= to) ?? [];
      const [primary, ...replicas] = nodes.flatMap((node) =>
        servers.filter((server) => server.port === Number((node as unknown as unknown[])[1])),
      );
      if (!primary) throw new Error(`nobody has slot ${slot}`);
      return { primary, replicas };
    },
    stop: async () => {
      for (const client of clients) client.disconnect();
      await Promise.all(servers.map(({ stop }) => stop()));
    },
  };
}

async function nodesOf(client: Redis) {
  const text = String(await client.cluster("NODES"));
  return text
    .trim()
    .split("\n")
    .map((line) => ({
      isUp: /connected(?: |$)/.test(line) && !/handshake|fail|disconnected/.test(line),
    }));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("the cluster did not form in 30 s");
    await sleep(50);
  }
}
