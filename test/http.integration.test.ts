import assert from "node:assert/strict";
import { afterAll, afterEach, beforeAll, describe, it } from "vitest";
import { post } from "../connectors/sources/http/harness.ts";
import { cleanUp, desk } from "./http-pipeline.ts";
import { startRedis, type RedisServer } from "./redis-server.ts";

let redis: RedisServer;
beforeAll(async () => void (redis = await startRedis()));
afterEach(cleanUp);
afterAll(() => redis.stop());

const headers = { "content-type": "application/json", prefer: "wait=20" };

describe("an http source on Redis", () => {
  it("gives each question its answer, also after Redis was away", { timeout: 90_000 }, async () => {
    const { url } = await desk({}, { kind: "redis", url: redis.url });
    const ask = async (text: string) => {
      const { status, body } = await post(`${url}/questions`, { text }, headers);
      return [status, (body as { data?: { text: string } }).data?.text];
    };
    const all = Array.from({ length: 20 }, (_, at) => `q${at}`);
    const answers = all.map((text) => [200, `because ${text}`]);
    assert.deepEqual(await Promise.all(all.map(ask)), answers);

    await redis.kill();
    // Not one is taken that would then be lost: the caller hears of it and asks again.
    assert.notEqual((await ask("away").catch(() => [0]))[0], 200);
    await redis.restart();
    const end = performance.now() + 60_000;
    while ((await ask("back").catch(() => [0]))[0] !== 200) assert.ok(performance.now() < end);
    assert.deepEqual(await Promise.all(all.map(ask)), answers);
  });
});
