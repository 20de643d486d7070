import { expect } from "vitest";
import { fakes } from "sluice/testing";
import {
  eventually,
  expectRows,
  held,
  lines,
  onServers,
  rowEvents,
  snapshots,
  story,
  sweeps,
  type Bench,
} from "./harness.ts";

const often = { lookEveryMs: 200 };

/** Four quarters, of two levels in the last, whose columns lie in another order; eight rows. */
async function createSales({ all }: Bench) {
  await all(
    `CREATE TABLE sales(id int, sold_on date, product text, amount int, PRIMARY KEY (id, sold_on))
       PARTITION BY RANGE (sold_on)`,
    "CREATE TABLE q1 PARTITION OF sales FOR VALUES FROM ('2024-01-01') TO ('2024-04-01')",
    "CREATE TABLE q2 PARTITION OF sales FOR VALUES FROM ('2024-04-01') TO ('2024-07-01')",
    "CREATE TABLE q3(amount int, product text, sold_on date NOT NULL, gone int, id int NOT NULL, PRIMARY KEY (id, sold_on))",
    "ALTER TABLE q3 DROP COLUMN gone",
    "ALTER TABLE sales ATTACH PARTITION q3 FOR VALUES FROM ('2024-07-01') TO ('2024-10-01')",
    "CREATE TABLE q4 PARTITION OF sales FOR VALUES FROM ('2024-10-01') TO ('2025-01-01') PARTITION BY RANGE (sold_on)",
    "CREATE TABLE q4_early PARTITION OF q4 FOR VALUES FROM ('2024-10-01') TO ('2024-12-01')",
    "CREATE TABLE q4_late PARTITION OF q4 DEFAULT",
    `INSERT INTO sales SELECT i, ('2024-0' || (1 + i % 4 * 2) || '-15')::date, 'pen', i FROM generate_series(1, 3) i`,
    `INSERT INTO sales VALUES (4,'2024-05-01','pen',4),(5,'2024-08-01','ink',5),(6,'2024-11-01','pen',6),(7,'2024-11-02','ink',7),(8,'2024-12-31','ink',8)`,
  );
}

const rows = {
  select: "SELECT id, sold_on::text, product, amount FROM sales",
  key: ["id", "sold_on"],
};

/** Everything that can happen to rows, and a look at the index between. */
async function changeSales(bench: Bench, runs: Parameters<typeof expectRows>[1]) {
  const { all, together } = bench;
  await all(
    "INSERT INTO sales VALUES (9,'2024-02-02','pen',9),(10,'2024-04-02','pen',10),(11,'2024-07-02','ink',11),(12,'2024-12-02','pen',12)",
  );
  await expectRows(bench, runs, "sales", rows);
  // From quarter to quarter, between levels, and several ways in one transaction.
  await all(
    "UPDATE sales SET sold_on='2024-09-09' WHERE id=9",
    "UPDATE sales SET sold_on='2024-11-11' WHERE id=12",
  );
  await together(
    "UPDATE sales SET amount=amount+100",
    "UPDATE sales SET sold_on='2024-12-12' WHERE id=10",
    "UPDATE sales SET product='ink', sold_on='2024-10-10' WHERE id=10",
    "DELETE FROM sales WHERE id=4",
    "UPDATE q3 SET amount=-1 WHERE id=11",
  );
  await expectRows(bench, runs, "sales", rows);
}

onServers((scenario, version) => {
  scenario("R1: a partitioned table comes under its root's name", async (bench) => {
    await createSales(bench);
    const run = await bench.streaming({ tables: ["sales"] });
    await changeSales(bench, run);
    expect(new Set(rowEvents(run).map(({ source }) => source.split("/").at(-1)))).toEqual(
      new Set(["public.sales"]),
    );
    expect(held(run.events, "/public.sales").get('["11","2024-07-02"]')).toEqual({
      id: 11,
      sold_on: "2024-07-02",
      product: "ink",
      amount: -1,
    });
  });

  // What is published, and whether under the root's name. Only what is covered whole can be captured.
  const publications = {
    "the root, via root": "FOR TABLE sales WITH (publish_via_partition_root = true)",
    "the root, not via root": "FOR TABLE sales",
    "its children, via root": "FOR TABLE q1, q2, q3, q4 WITH (publish_via_partition_root = true)",
    "the leaves, not via root": "FOR TABLE q1, q2, q3, q4_early, q4_late",
    "everything, not via root": "FOR ALL TABLES",
    "everything, via root": "FOR ALL TABLES WITH (publish_via_partition_root = true)",
  };
  for (const [name, publication] of Object.entries(publications))
    scenario(`R2: the same records whatever the publication names: ${name}`, async (bench) => {
      await createSales(bench);
      await bench.all(
        `CREATE PUBLICATION theirs ${publication}`,
        "SELECT pg_create_logical_replication_slot('hand_' || current_database(), 'pgoutput')",
      );
      const config = {
        tables: ["sales"],
        publication: "theirs",
        slot: `hand_${bench.database}`,
        setup: false,
      };
      const state = fakes.state();
      const first = await bench.streaming(config, { state });
      expect([...held(first.events, "/public.sales").keys()].toSorted()).toHaveLength(8);
      await changeSales(bench, first);
      await first.stop();
      await bench.all("UPDATE sales SET amount=0 WHERE id<9");
      const again = await bench.start(config, { state });
      await expectRows(bench, [first, again], "sales", rows);
      await bench.all("TRUNCATE sales");
      await expectRows(bench, [first, again], "sales", rows);
      await bench.all("INSERT INTO sales VALUES (1,'2024-01-01','pen',1),(2,'2024-12-01','pen',1)");
      await expectRows(bench, [first, again], "sales", rows);
    });

  for (const viaRoot of [true, false])
    scenario(`R2: a row filter, ${viaRoot ? "via root" : "on the leaves"}`, async (bench) => {
      const { all, streaming } = bench;
      await createSales(bench);
      const filter = "WHERE (id < 10)";
      await all(
        viaRoot
          ? `CREATE PUBLICATION theirs FOR TABLE sales ${filter} WITH (publish_via_partition_root = true)`
          : `CREATE PUBLICATION theirs FOR TABLE ${["q1", "q2", "q3", "q4_early", "q4_late"].map((leaf) => `${leaf} ${filter}`).join(", ")}`,
      );
      const run = await streaming({ tables: ["sales"], publication: "theirs" });
      await all(
        "INSERT INTO sales VALUES (9,'2024-02-02','pen',9),(10,'2024-04-02','pen',10)",
        "UPDATE sales SET id=20 WHERE id=1",
        "UPDATE sales SET id=1, sold_on='2024-12-01' WHERE id=10",
        "UPDATE sales SET amount=99 WHERE id=20",
      );
      await expectRows(bench, run, "sales", { ...rows, select: `${rows.select} WHERE id < 10` });
    });

  scenario("R2: a part of the partitions is a table of its own each", async (bench) => {
    const { all, streaming } = bench;
    await createSales(bench);
    const run = await streaming({ tables: ["q1", "q4"] });
    await all(
      "INSERT INTO sales VALUES (9,'2024-02-02','pen',9),(10,'2024-11-02','pen',10)",
      "UPDATE sales SET sold_on='2024-06-06' WHERE id=9",
      "UPDATE sales SET sold_on='2024-11-11', product='ink' WHERE id=4",
      "UPDATE sales SET sold_on='2024-12-12' WHERE id=10",
    );
    for (const table of ["q1", "q4"])
      await expectRows(bench, run, table, { ...rows, select: rows.select.replace("sales", table) });
  });

  scenario("R3: a truncated leaf says nothing; a snapshot sweeps its records", async (bench) => {
    const { all, streaming, caughtUp } = bench;
    await createSales(bench);
    const run = await streaming({ tables: ["sales"] });
    await all("TRUNCATE q3");
    await caughtUp(run);
    expect(held(run.events, "/public.sales").size).toBe(8);
    await run.request({ id: "swept", collections: ["sales"] });
    await snapshots(run, 2);
    await expectRows(bench, run, "sales", rows);
  });

  scenario("R3: under the leaves' own names a truncated leaf is noticed", async (bench) => {
    const { all, streaming } = bench;
    await createSales(bench);
    await all("CREATE PUBLICATION theirs FOR ALL TABLES");
    const run = await streaming({ tables: ["sales"], publication: "theirs" });
    await all("TRUNCATE q3", "INSERT INTO sales VALUES (11,'2024-07-02','ink',11)");
    await expectRows(bench, run, "sales", rows);
    expect(sweeps(run.events)).toBe(2);
  });

  for (const onTableDropped of ["keep", "remove"] as const)
    scenario(
      `R3: a leaf that is detached or dropped is noticed, also after a stop (${onTableDropped})`,
      async (bench) => {
        const { all, streaming, start, caughtUp } = bench;
        await createSales(bench);
        const state = fakes.state();
        const config = { tables: ["sales"], onTableDropped };
        const first = await streaming(config, { state, ...often });
        const isGone = onTableDropped === "remove";
        await all("ALTER TABLE sales DETACH PARTITION q1");
        await eventually(() => lines(first, /dropped or detached/).length === 1, "a warning");
        expect(lines(first, /dropped or detached/)).toEqual([
          { table: "public.sales", partitions: ["public.q1"] },
        ]);
        if (isGone) await expectRows(bench, first, "sales", rows);
        await all("INSERT INTO q1 VALUES (30,'2024-01-30','pen',1)", "UPDATE sales SET amount=0");
        await first.stop();
        await all("DROP TABLE q4_late");
        const again = await start(config, { state, ...often });
        const runs = [first, again];
        await eventually(() => lines(again, /dropped or detached/).length === 1, "a warning");
        await all("INSERT INTO sales VALUES (31,'2024-05-30','pen',1)");
        if (!isGone) {
          await caughtUp(again);
          // The records stay, as the user wants it, until a snapshot sweeps them.
          const stay = held(
            runs.flatMap(({ events }) => events),
            "/public.sales",
          );
          expect(stay.has('["1","2024-03-15"]') && stay.has('["8","2024-12-31"]')).toBe(true);
          await again.request({ id: "swept" });
          await snapshots(again, 1);
        }
        await expectRows(bench, runs, "sales", rows);
        expect(
          held(
            runs.flatMap(({ events }) => events),
            "/public.sales",
          ).has('["30","2024-01-30"]'),
        ).toBe(false);
      },
    );

  scenario("a leaf made later is captured from its first row", async (bench) => {
    const { all, streaming } = bench;
    await createSales(bench);
    const run = await streaming({ tables: ["sales"] });
    await all(
      "CREATE TABLE next PARTITION OF sales FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
      "INSERT INTO sales VALUES (40,'2025-01-30','pen',1)",
      "UPDATE sales SET sold_on='2025-02-02' WHERE id=1",
    );
    await expectRows(bench, run, "sales", rows);
    expect(story(run).filter((line) => line.endsWith("sweep"))).toHaveLength(1);
  });

  scenario(
    "a leaf with another identity than its root stops the table until it is mended",
    async (bench) => {
      const { all, streaming, caughtUp } = bench;
      await createSales(bench);
      await all("CREATE TABLE other(id int PRIMARY KEY)");
      for (const table of ["sales", "q1", "q2", "q3", "q4", "q4_early", "q4_late"])
        await all(`ALTER TABLE ${table} REPLICA IDENTITY FULL`);
      const run = await streaming({ tables: ["sales", "other"] }, often);
      await all(
        "CREATE TABLE next PARTITION OF sales FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        "INSERT INTO sales VALUES (40,'2025-01-30','pen',1)",
        "UPDATE sales SET sold_on='2025-02-02' WHERE id=40",
        "UPDATE sales SET amount=77 WHERE id=1",
        "INSERT INTO other VALUES (1)",
      );
      await caughtUp(run);
      expect(held(run.events, "/public.other").size).toBe(1);
      await eventually(() => lines(run, /stops/).length > 0, "a warning");
      await all("ALTER TABLE next REPLICA IDENTITY FULL", "DELETE FROM sales WHERE id=2");
      await expectRows(bench, run, "sales", rows);
      await all("UPDATE sales SET amount=78 WHERE id=1", "DELETE FROM sales WHERE id=40");
      await expectRows(bench, run, "sales", rows);
    },
  );

  if (version === 18)
    scenario("a partition split and merged keeps its records", async (bench) => {
      const { all, together, streaming } = bench;
      await createSales(bench);
      const run = await streaming({ tables: ["sales"] }, often);
      await together(
        "ALTER TABLE sales DETACH PARTITION q2",
        "CREATE TABLE q2_new PARTITION OF sales FOR VALUES FROM ('2024-04-01') TO ('2024-07-01')",
        "INSERT INTO sales SELECT * FROM q2",
      );
      await all("UPDATE sales SET amount=5 WHERE id=4");
      await expectRows(bench, run, "sales", rows);
    });
});
