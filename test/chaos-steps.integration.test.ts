import { describe, expect, it } from "vitest";
import { playSteps } from "./chaos/steps.ts";
import { startRedis } from "./redis-server.ts";

// A few of the steps of `npm run chaos -- --steps`, which plays them all.
const few = (step: number) => step % 17 === 5;

describe("a sink that was killed at a step of a write", () => {
  it("T9 on the embedded backend: ends exact", { timeout: 300_000 }, async () => {
    const { kills, failures } = await playSteps({ chosen: few });
    expect(failures).toEqual([]);
    expect(kills).toBeGreaterThan(3);
  });

  it("T9 on Redis: ends exact", { timeout: 300_000 }, async () => {
    const redis = await startRedis(["--appendonly", "yes"]);
    try {
      const { kills, failures } = await playSteps({ redis: redis.url, chosen: few });
      expect(failures).toEqual([]);
      expect(kills).toBeGreaterThan(3);
    } finally {
      await redis.stop();
    }
  });
});
