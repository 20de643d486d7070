import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PostgresServer } from "../../../../test/postgres-server.ts";
import { fakes } from "sluice/testing";
import type { SluiceEvent } from "sluice";
import { seeded } from "../../../../test/chaos/random.ts";
import { eventually, held, isSweep, openBench, startPostgres } from "./harness.ts";

/** Random transactions on `t`, until told to stop; ends with what the table holds. */
function mutate(bench: Awaited<ReturnType<typeof openBench>>, seed: number) {
  const random = seeded(seed);
  let isOver = false;
  let count = 0;
  const long = (n: number) =>
    Array.from({ length: 150 }, (_, at) => `${n}-${at}-${random.below(1e9)}`).join(" ");
  const step = async () => {
    const id = random.below(3_000) - 200;
    const dice = random.below(100);
    if (dice < 20)
      return bench.sql("INSERT INTO t VALUES ($1,$2,$3,0) ON CONFLICT DO NOTHING", [
        id,
        `n${count}`,
        long(count),
      ]);
    if (dice < 45) return bench.sql("UPDATE t SET title=$2 WHERE id=$1", [id, `u${count}`]);
    if (dice < 60) return bench.sql("UPDATE t SET body=$2, n=n+1 WHERE id=$1", [id, long(count)]);
    if (dice < 75) return bench.sql("DELETE FROM t WHERE id=$1", [id]);
    if (dice < 90)
      return bench.sql(
        "UPDATE t SET id=$2 WHERE id=$1 AND NOT EXISTS (SELECT 1 FROM t WHERE id=$2)",
        [id, random.below(4_000) - 300],
      );
    return bench.sql("UPDATE t SET n=n+1 WHERE id BETWEEN $1 AND $2", [id, id + 20]);
  };
  const work = (async () => {
    while (!isOver) {
      const size = random.below(4);
      if (size > 0) await bench.sql("BEGIN");
      for (let n = 0; n <= size; n++) {
        await step();
        count++;
      }
      if (size > 0) await bench.sql(random.below(10) === 0 ? "ROLLBACK" : "COMMIT");
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await work;
      return count;
    },
  };
}

for (const version of [15, 18] as const)
  describe(`postgres ${version}`, () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await startPostgres({ version });
    });
    afterAll(() => server.stop());

    for (const seed of [1, 2, 3])
      it(`N2, N4: a table that changes while it is copied, with crashes, ends equal to itself (seed ${seed})`, async () => {
        const bench = await openBench(server);
        try {
          await bench.sql("CREATE TABLE t(id int PRIMARY KEY, title text, body text, n int)");
          await bench.sql("ALTER TABLE t ALTER body SET STORAGE EXTERNAL");
          await bench.sql(
            "INSERT INTO t SELECT i, 'title '||i, repeat(md5(i::text), 1 + (i % 3) * 40), 0 FROM generate_series(-50, 2500) i",
          );
          const state = fakes.state();
          const changes = mutate(bench, seed);
          const events: SluiceEvent[] = [];
          const config = { tables: ["t"], chunkRows: 60 };
          for (let crash = 1; crash <= 5; crash++) {
            const until = 150 * crash + seed * 17;
            const run = await bench.start(config, {
              state,
              killWhen: (some) => some.length >= until,
            });
            await run.ended;
            events.push(...run.events);
            expect(run.events.length).toBeGreaterThanOrEqual(until);
          }
          const run = await bench.start(config, { state });
          if (!events.some(isSweep)) await run.until((some) => some.some(isSweep), "the sweep");
          await changes.stop();
          const rows = await bench.sql("SELECT id, title, body, n FROM t");
          const wanted = new Map(rows.map((row) => [`["${String(row["id"])}"]`, row]));
          await eventually(() => {
            const now = held([...events, ...run.events]);
            return (
              now.size === wanted.size &&
              [...wanted].every(
                ([key, row]) => JSON.stringify(now.get(key)) === JSON.stringify(row),
              )
            );
          }, "the same rows").catch(() => undefined);
          const now = held([...events, ...run.events]);
          expect(Object.fromEntries(now)).toEqual(Object.fromEntries(wanted));
        } finally {
          await bench.close();
        }
      }, 60_000);
  });
