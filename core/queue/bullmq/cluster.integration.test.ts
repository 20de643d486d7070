import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, it } from "vitest";
import { startRedisCluster, type RedisCluster } from "../../../test/redis-cluster.ts";
import { openRedisState } from "../../state/redis/index.ts";
import { stateConformance } from "../../state/conformance.ts";
import { queueConformance } from "../conformance.ts";
import { openParty } from "./index.integration.test.child.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const project = `test-${randomUUID()}`;
let cluster: RedisCluster;
beforeAll(async () => void (cluster = await startRedisCluster()), 60_000);
afterAll(() => cluster.stop());

describe("bullmq topics on a cluster", () => {
  const suite = queueConformance({
    open: (options) => openParty({ url: cluster.url, project }, options),
    child: new URL("index.integration.test.child.js", import.meta.url),
    childArguments: () => [cluster.url, project],
    interrupt: async () => void (await Promise.all(cluster.servers.map(({ cut }) => cut()))),
  });
  for (const { name, run } of suite) it(name, run);
});

describe("redis state on a cluster", () => {
  const open = () => openRedisState({ url: cluster.url, project, log });
  for (const { name, run } of stateConformance({ open })) it(name, run);
});
