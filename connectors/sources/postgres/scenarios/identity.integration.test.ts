import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PostgresServer } from "../../../../test/postgres-server.ts";
import { held, openBench, startPostgres, type Bench } from "./harness.ts";

for (const version of [15, 18] as const)
  describe(`postgres ${version}`, () => {
    let server: PostgresServer;
    let bench: Bench;
    beforeAll(async () => {
      server = await startPostgres({ version });
    });
    afterAll(() => server.stop());
    const inDatabase = (name: string, run: () => Promise<void>) =>
      it(name, async () => {
        bench = await openBench(server);
        try {
          await run();
        } finally {
          await bench.close();
        }
      });

    inDatabase("I1: deletes, updates and a change of identity arrive as they are", async () => {
      const { sql } = bench;
      await sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
      await sql("INSERT INTO t VALUES (0,'Zero'),(1,'One'),(2,'Two'),(3,'Three'),(4,'Four')");
      const run = await bench.streaming({ tables: ["t"] });
      expect(held(run.events).size).toBe(5);
      await sql("DELETE FROM t WHERE id=1");
      await sql("UPDATE t SET data='UPDATED' WHERE id=2");
      await sql("ALTER TABLE t REPLICA IDENTITY FULL");
      await sql("DELETE FROM t WHERE id=3");
      await sql("UPDATE t SET data='U4' WHERE id=4");
      await run.until((events) => held(events).get('["4"]')?.["data"] === "U4");
      expect([...held(run.events)]).toEqual([
        ['["0"]', { id: 0, data: "Zero" }],
        ['["2"]', { id: 2, data: "UPDATED" }],
        ['["4"]', { id: 4, data: "U4" }],
      ]);
    });
  });
