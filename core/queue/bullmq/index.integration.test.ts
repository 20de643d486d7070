import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRedis, type RedisServer } from "../../../test/redis-server.ts";
import { queueConformance } from "../conformance.ts";
import { openParty } from "./index.integration.test.child.ts";

let server: RedisServer;
beforeAll(async () => void (server = await startRedis()));
afterAll(() => server.stop());

const project = `test-${randomUUID()}`;

describe("bullmq topics", () => {
  const suite = queueConformance({
    open: (options) => openParty({ url: server.url, project }, options),
    child: new URL("index.integration.test.child.js", import.meta.url),
    childArguments: () => [server.url, project],
    interrupt: () => server.restart(),
  });
  for (const { name, run } of suite) it(name, run);

  it.each([
    ["disk", ["--appendonly", "yes", "--appendfsync", "always"]],
    ["memory", ["--appendonly", "no"]],
    ["memory", ["--appendonly", "yes", "--appendfsync", "no"]],
  ])("settled is over at once where the durability is %s", async (durability, settings) => {
    const redis = await startRedis(settings);
    const options = { partitions: 1, optional: false, maxWaiting: 10 };
    const limits = { leaseMs: 5_000, writeTimeoutMs: 100 };
    const { topics, state } = await openParty(
      { url: redis.url, project },
      { ...options, ...limits },
    );
    try {
      expect(await topics.durability()).toBe(durability);
      const at = performance.now();
      await topics.settled({ signal: new AbortController().signal });
      expect(performance.now() - at).toBeLessThan(1_000);
    } finally {
      await topics.close(1_000);
      await state.close();
      await redis.stop();
    }
  });
});
