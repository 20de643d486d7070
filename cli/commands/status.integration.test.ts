import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { freePort, startRedis } from "../../test/redis-server.ts";
import { makeFolder, pipeline, runCli, startCli, until } from "../run.test.data.ts";

it(
  "status ends in time while Redis stands still, and a process says by itself what it waits for",
  { timeout: 60_000 },
  async () => {
    const redis = await startRedis();
    onTestFinished(redis.stop);
    const { dir, remove } = makeFolder();
    onTestFinished(remove);
    writeFileSync(join(dir, "sluice.json"), pipeline());
    const admin = `127.0.0.1:${await freePort()}`;
    const cli = startCli(dir, ["start", "--queue", redis.url, "--admin", admin]);
    onTestFinished(async () => {
      cli.signal("SIGKILL");
      await cli.ended;
    });
    await until(() => cli.stderr().includes("pipeline started"), cli.stderr);
    redis.freeze();
    const askedAt = performance.now();
    const asked = await runCli(dir, ["status", "--queue", redis.url]);
    expect(performance.now() - askedAt).toBeLessThan(12_000);
    expect(asked).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/cannot be reached[^]*status --admin HOST:PORT/),
    });
    const told = await runCli(dir, ["status", "--admin", admin]);
    expect(told.code).toBe(0);
    expect(told.stdout).toMatch(/does not answer[^]*failing[^]*redis\.unreachable since/);
    redis.thaw();
    const nobody = await runCli(dir, ["status", "--admin", `127.0.0.1:${await freePort()}`]);
    expect(nobody).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("no process answers"),
    });
  },
);
