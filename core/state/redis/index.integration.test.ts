import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startRedis, testRedis, type RedisServer } from "../../../test/redis-server.ts";
import type { Log } from "../../connector.ts";
import { ConfigError, FencedError, RetryableError } from "../../errors.ts";
import { stateConformance } from "../conformance.ts";
import { openRedisState } from "./index.ts";

const said: string[] = [];
const note = (fields: object, message: string) =>
  void said.push(`${message} ${JSON.stringify(fields)}`);
const log: Log = { debug: note, info: note, warn: note, error: note };

let server: RedisServer;
let shared: Awaited<ReturnType<typeof testRedis>>;
beforeAll(async () => {
  [server, shared] = await Promise.all([startRedis(["--requirepass", "s3cret word"]), testRedis()]);
});
afterAll(() => Promise.all([server.stop(), shared.stop()]));

const project = () => `test-${Math.random().toString(36).slice(2)}`;
describe("redis state", () => {
  const name = project();
  const open = () => openRedisState({ url: shared.url, project: name, log });
  for (const { name, run } of stateConformance({ open })) it(name, run);
});

const withPassword = (password: string) =>
  `redis://default:${encodeURIComponent(password)}@127.0.0.1:${server.port}/2`;

it("connects with user, password and database number from the URL", async () => {
  const url = withPassword("s3cret word");
  const place = await openRedisState({ url, project: "shop", log });
  await place.scope("c").state.each([{ key: "k", value: 1 }]);
  const raw = new Redis(url);
  const keys = await raw.keys("*");
  expect(keys.toSorted()).toEqual([
    "sluice:{shop/c}:o",
    "sluice:{shop/c}:v",
    "sluice:{shop}:format",
  ]);
  raw.disconnect();
  await place.close();
});

it("refuses wrong credentials with the fix, and never shows them", async () => {
  for (const url of [withPassword("wr0ng"), `redis://127.0.0.1:${server.port}`]) {
    const error: unknown = await openRedisState({ url, project: "shop", log }).catch(
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ code: "redis.unauthorized", fix: expect.stringMatching(/URL/) });
    expect(JSON.stringify([error, String(error), said])).not.toContain("wr0ng");
  }
});

it("refuses a database number that the server does not have", async () => {
  const url = withPassword("s3cret word").replace(/2$/, "99");
  await expect(openRedisState({ url, project: "shop", log })).rejects.toMatchObject({
    code: "redis.database",
  });
});

it("says what is wrong with a URL without repeating it", async () => {
  const error: unknown = await openRedisState({
    url: "http://me:pa55@localhost",
    project: "shop",
    log,
  }).catch((error: unknown) => error);
  expect(error).toMatchObject({ code: "redis.url" });
  expect(String(error)).not.toContain("pa55");
});

it("gives up on the first connect after five seconds, with the fix", async () => {
  const start = performance.now();
  const error: unknown = await openRedisState({
    url: "redis://:pa55@127.0.0.1:1",
    project: "shop",
    log,
  }).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(RetryableError);
  expect(error).toMatchObject({ code: "redis.unreachable", fix: expect.stringMatching(/Start/) });
  expect(String(error)).toContain("redis://127.0.0.1:1");
  expect(String(error)).not.toContain("pa55");
  expect(performance.now() - start).toBeLessThan(8_000);
});

it("waits while Redis is away, and finds everything after its restart", async () => {
  const own = await startRedis();
  try {
    const place = await openRedisState({ url: own.url, project: "shop", log });
    const { state, leases } = place.scope("c");
    await state.each([{ key: "before", value: 1 }]);
    const lease = await leases.acquire("source", 60_000);
    await own.kill();
    const waiting = state.each([{ key: "during", value: 2 }], lease);
    await own.restart();
    expect(await waiting).toEqual([true]);
    expect((await state.get(["before", "during"])).map((entry) => entry?.value)).toEqual([1, 2]);
    expect(said.some((line) => line.startsWith("redis is away"))).toBe(true);
    await place.close();
  } finally {
    await own.stop();
  }
});

it("refuses data of a newer format", async () => {
  const name = project();
  const raw = new Redis(shared.url);
  await raw.set(`sluice:{${name}}:format`, 2);
  raw.disconnect();
  await expect(openRedisState({ url: shared.url, project: name, log })).rejects.toMatchObject({
    code: "state.format-newer",
  });
});

it("really removes what has expired", async () => {
  const name = project();
  const place = await openRedisState({ url: shared.url, project: name, log });
  const raw = new Redis(shared.url);
  const { state } = place.scope("c");
  await state.each([
    { key: "a", value: "short", ttlMs: 30 },
    { key: "b", value: "long" },
  ]);
  const deadline = performance.now() + 5_000;
  while ((await raw.hlen(`sluice:{${name}/c}:v`)) > 1) {
    if (performance.now() > deadline) throw new Error("the entry is still there");
    await sleep(10);
    await state.each([{ key: "c", value: undefined }]); // any write sweeps
  }
  expect(await raw.zcard(`sluice:{${name}/c}:o`)).toBe(1);
  expect(await raw.zcard(`sluice:{${name}/c}:x`)).toBe(0);
  raw.disconnect();
  await place.close();
});

it("fences in the same call as the write", async () => {
  const name = project();
  const dying = await openRedisState({ url: shared.url, project: name, log });
  const first = await dying.scope("c").leases.acquire("source", 50);
  if (!first) throw new Error("the lease was free");
  await dying.close();
  const place = await openRedisState({ url: shared.url, project: name, log });
  const { state, leases } = place.scope("c");
  let second: Awaited<ReturnType<typeof leases.acquire>>;
  while (!(second = await leases.acquire("source", 10_000))) await sleep(10);
  expect(second.inherited).toBe(true);
  await expect(state.all([{ key: "k", value: 1 }], first)).rejects.toBeInstanceOf(FencedError);
  expect(await state.all([{ key: "k", value: 2 }], second)).toBe(true);
  await second.release();
  expect((await leases.acquire("source", 1_000))?.inherited).toBe(false);
  await place.close();
});

it("gives no token twice when it went back, and none of the lost ones writes any more", async () => {
  const redis = await startRedis(["--appendfsync", "always"]);
  onTestFinished(redis.stop);
  const place = await openRedisState({ url: redis.url, project: "back", log });
  onTestFinished(() => place.close());
  const { leases, state } = place.scope("c");
  const beganAt = Math.floor(Date.now() / 1_000);
  const first = await leases.acquire("l", 60_000);
  await first?.release();
  const mark = redis.mark();
  const lost = await leases.acquire("l", 60_000);
  await redis.restart(mark);
  const next = await leases.acquire("l", 60_000);
  expect(next?.token).toBeGreaterThan(lost?.token ?? Infinity);
  const write = [{ key: "k", value: 1 }];
  await expect(state.each(write, lost)).rejects.toThrow(FencedError);
  expect(await state.each(write, next)).toEqual([true]);
  await next?.release();
  const after = await leases.acquire("l", 60_000);
  expect(after?.token).toBeGreaterThan(next?.token ?? Infinity);
  // Also of a Redis that lost everything: versions begin with it.
  expect(first?.token).toBeGreaterThanOrEqual(beganAt);
});
