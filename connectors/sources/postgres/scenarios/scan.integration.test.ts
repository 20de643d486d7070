import { expect } from "vitest";
import { isUpsert, type SluiceEvent } from "sluice";
import { fakes } from "sluice/testing";
import type { Bench } from "./harness.ts";
import { onBoth } from "./on-both.test.data.ts";
import { postgres } from "../postgres.ts";

/** What a scan finds, by `source` and `subject`. */
async function scanned(bench: Bench, config: object): Promise<ReadonlyMap<string, unknown>> {
  const { scan } = postgres;
  if (!scan) throw new Error("it cannot be scanned");
  const parsed: unknown = postgres.config.parse({ url: bench.url, ...config });
  const events: SluiceEvent[] = [];
  for await (const page of scan(fakes.context({ name: "rows", config: parsed })))
    events.push(...page);
  const found = events.filter(isUpsert).map((event) => {
    const after = event.type === "dev.sluice.record.upserted" ? event.data.after : undefined;
    return [`${event.source} ${event.subject}`, after] as const;
  });
  expect(new Set(found.map(([name]) => name)).size).toBe(found.length);
  return new Map(found);
}

onBoth((scenario, { version }) => {
  scenario("reads what a snapshot reads, and leaves no trace", async (bench) => {
    const { sql } = bench;
    await sql(
      `CREATE TABLE a(id int, part text COLLATE "C", body text, at timestamptz, PRIMARY KEY (part, id))`,
    );
    await sql(
      "INSERT INTO a SELECT n, chr(97 + n % 3), repeat('x', n * 50), now() FROM generate_series(1, 100) n",
    );
    await sql("CREATE TABLE b(body jsonb)");
    await sql(`INSERT INTO b SELECT jsonb_build_object('n', n) FROM generate_series(1, 450) n`);
    await sql("CREATE TABLE empty(id int PRIMARY KEY)");
    const tables = ["a", { name: "b", insertOnly: true }, "empty"];
    const config = { tables, chunkRows: 30 };
    const before = await scanned(bench, config);
    expect(before.size).toBe(550);
    const slots = "SELECT 1 FROM pg_replication_slots WHERE database = current_database()";
    expect(await sql(slots)).toEqual([]);
    expect(await sql("SELECT 1 FROM pg_publication")).toEqual([]);

    const run = await bench.streaming(config);
    const copied = new Map(
      run.events.filter(isUpsert).map((event) => {
        const after = event.type === "dev.sluice.record.upserted" ? event.data.after : undefined;
        return [`${event.source} ${event.subject}`, after] as const;
      }),
    );
    expect(before).toEqual(copied);
    // Beside the source that streams.
    await sql("UPDATE a SET body = 'new' WHERE id = 7");
    const again = await scanned(bench, config);
    expect(again.size).toBe(550);
    expect(
      [...again].filter(
        ([name, after]) => JSON.stringify(after) !== JSON.stringify(before.get(name)),
      ),
    ).toHaveLength(1);
    await run.stop();
  });

  if (version === 18)
    scenario("reads a publication of others as they filter it", async (bench) => {
      await bench.all(
        "CREATE TABLE c(id int PRIMARY KEY, body text)",
        "INSERT INTO c SELECT n, 'row' FROM generate_series(1, 10) n",
        "CREATE PUBLICATION theirs FOR TABLE c WHERE (id > 4)",
      );
      const config = { tables: ["c"], publication: "theirs", setup: false };
      expect((await scanned(bench, config)).size).toBe(6);
    });

  scenario("says what keeps it from reading", async (bench) => {
    await expect(scanned(bench, { tables: ["nowhere"] })).rejects.toMatchObject({
      code: "postgres.table-missing",
    });
  });
});
