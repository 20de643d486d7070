import { afterAll, beforeAll, describe, it } from "vitest";
import { sourceConformance } from "sluice/testing";
import { startLine, type Line } from "../../../../test/line.ts";
import { postgres } from "../postgres.ts";
import { openBench, type Bench } from "./harness.ts";
import { onBoth } from "./on-both.test.data.ts";

onBoth((_, { version, server }) => {
  describe("the conformance kit", () => {
    let bench: Bench;
    let line: Line;
    const config = { url: "postgres://later", tables: ["t"], slot: `conformance_${version}` };
    beforeAll(async () => {
      bench = await openBench(server());
      line = await startLine(server().port);
      const url = new URL(bench.url);
      url.port = String(line.port);
      config.url = url.href;
      await bench.sql("CREATE TABLE t(id text PRIMARY KEY, data text)");
    });
    afterAll(() => bench.close().finally(() => line.stop()));
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
});
