import { afterAll, beforeAll, describe, it } from "vitest";
import { sourceConformance } from "sluice/testing";
import { startLine, type Line } from "../../../../test/line.ts";
import type { PostgresServer } from "../../../../test/postgres-server.ts";
import { postgres } from "../postgres.ts";
import { openBench, startPostgres, type Bench } from "./harness.ts";

// What versions of the server differ in is in the scenarios beside it, on the oldest and the newest.

describe("postgres keeps what a source must:", () => {
  let server: PostgresServer;
  let bench: Bench;
  let line: Line;
  const config = { url: "postgres://later", tables: ["t"], slot: "conformance" };
  beforeAll(async () => {
    server = await startPostgres({ version: 18 });
    bench = await openBench(server);
    line = await startLine(server.port);
    const url = new URL(bench.url);
    url.port = String(line.port);
    config.url = url.href;
    await bench.sql("CREATE TABLE t(id text PRIMARY KEY, data text)");
  });
  afterAll(async () => {
    await bench.close();
    line.stop();
    await server.stop();
  });
  for (const { name, run } of sourceConformance({
    source: postgres,
    config,
    origin: {
      put: async (key, text) => {
        await bench.sql(
          "INSERT INTO t VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET data = excluded.data",
          [key, text],
        );
        return JSON.stringify([key]);
      },
      remove: async (key) => void (await bench.sql("DELETE FROM t WHERE id = $1", [key])),
    },
    patienceMs: 10_000,
    many: 300,
    outage: { begin: () => line.outage.begin(), end: () => line.outage.end() },
    stall: { begin: () => line.stall.begin(), end: () => line.stall.end() },
    module: new URL("../postgres.js", import.meta.url),
  }))
    it(name, run, 120_000);
});
