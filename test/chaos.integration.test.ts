import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { playMongodbRound } from "./chaos/mongodb-round.ts";
import { playPostgresRound } from "./chaos/postgres-round.ts";
import { playRound } from "./chaos/round.ts";
import { playS3Round } from "./chaos/s3-round.ts";
import { startMongod } from "./mongod.ts";
import { startPostgres } from "./postgres-server.ts";
import { startRedis } from "./redis-server.ts";
import { startMinistack } from "./s3-servers.ts";

// One short round of `npm run chaos` on each backend: a real process, real files, kill -9.
it.each(["embedded", "redis"])(
  "an index equals its folder after kills at random moments (%s)",
  async (kind) => {
    const dir = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    let queue = "embedded";
    if (kind === "redis") {
      const redis = await startRedis(["--appendonly", "yes", "--maxmemory-policy", "noeviction"]);
      onTestFinished(redis.stop);
      queue = redis.url;
    }
    const result = await playRound({ dir, seed: 20_261_125, changes: 80, kills: 2, queue });
    expect(result).toMatchObject({ ok: true, changes: 80 });
    expect(result.kills).toBeGreaterThan(0);
    expect(result.chunks).toBeGreaterThan(0);
  },
  120_000,
);

it("an index equals SELECT after kills of the pipeline, of PostgreSQL and of Redis", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const redis = await startRedis(["--appendonly", "yes", "--maxmemory-policy", "noeviction"]);
  onTestFinished(redis.stop);
  const postgres = await startPostgres({ version: 15 });
  onTestFinished(postgres.stop);
  const result = await playPostgresRound({
    dir,
    seed: 20_261_126,
    changes: 150,
    kills: 4,
    postgres,
    redis,
  });
  expect(result).toMatchObject({ ok: true, changes: 150 });
  expect(result.kills).toBeGreaterThan(2);
  expect(result.chunks).toBeGreaterThan(0);
}, 180_000);

it("an index equals its collections after kills of the pipeline and of the primary", async () => {
  const dir = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const set = await startMongod({ members: 3, oplogMB: 64 });
  onTestFinished(set.stop);
  const round = { dir, seed: 20_261_133, changes: 100, kills: 3, set, redis: undefined };
  const result = await playMongodbRound(round);
  expect(result).toMatchObject({ ok: true, changes: 100 });
  expect(result.hits).toEqual({ ours: 1, kill: 1, snapshot: 1 });
  expect(result.chunks).toBeGreaterThan(0);
}, 180_000);

// An even seed lists the bucket, an odd one is told of changes.
it.each([20_261_126, 20_261_127])(
  "an index equals its bucket, tables row by row, after kills at random moments (%i)",
  async (seed) => {
    const dir = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const server = await startMinistack();
    onTestFinished(server.stop);
    const round = { dir, seed, changes: 60, kills: 2, queue: "embedded", server };
    const result = await playS3Round(round);
    expect(result).toMatchObject({ ok: true, changes: 60 });
    expect(result.kills).toBeGreaterThan(0);
    expect(result.chunks).toBeGreaterThan(0);
  },
  180_000,
);
