import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, it } from "vitest";
import { startRedisSentinels, type RedisSentinels } from "../../../test/redis-sentinels.ts";
import { openRedisState } from "../../state/redis/index.ts";
import { stateConformance } from "../../state/conformance.ts";
import { queueConformance } from "../conformance.ts";
import { openParty } from "./index.integration.test.child.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const project = `test-${randomUUID()}`;
let sentinels: RedisSentinels;
beforeAll(async () => void (sentinels = await startRedisSentinels()), 60_000);
afterAll(() => sentinels.stop());

describe("bullmq topics behind sentinels", () => {
  const suite = queueConformance({
    open: (options) => openParty({ url: sentinels.url, project }, options),
    child: new URL("index.integration.test.child.js", import.meta.url),
    childArguments: () => [sentinels.url, project],
    interrupt: async () => void (await Promise.all(sentinels.servers.map(({ cut }) => cut()))),
  });
  for (const { name, run } of suite) it(name, run);
});

describe("redis state behind sentinels", () => {
  const open = () => openRedisState({ url: sentinels.url, project, log });
  for (const { name, run } of stateConformance({ open })) it(name, run);
});
