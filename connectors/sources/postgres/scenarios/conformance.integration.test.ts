import { afterAll, beforeAll, describe, it } from "vitest";
import { sourceConformance } from "sluice/testing";
import { postgres } from "../postgres.ts";
import { openBench, type Bench } from "./harness.ts";
import { onBoth } from "./on-both.test.data.ts";

onBoth((_, { version, server }) => {
  describe("the conformance kit", () => {
    let bench: Bench;
    const config = { url: "postgres://later", tables: ["t"], slot: `conformance_${version}` };
    beforeAll(async () => {
      bench = await openBench(server());
      config.url = bench.url;
      await bench.sql("CREATE TABLE t(id text PRIMARY KEY, data text)");
    });
    afterAll(() => bench.close());
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
      module: new URL("../postgres.js", import.meta.url),
    }))
      it(name, run, 120_000);
  });
});
