import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { catalog } from "../connectors/registry.ts";
import {
  eventually,
  openBench,
  type Bench,
} from "../connectors/sources/postgres/scenarios/harness.ts";
import { loadPipeline } from "../core/config/load.ts";
import { startPipeline } from "../core/runtime/runner.ts";
import { openOracle } from "./chaos/oracle.ts";
import { startPostgres, type PostgresServer } from "./postgres-server.ts";

// From rows to vectors: what a change does to the index, and what it costs.

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const long = (letter: string) => letter.repeat(2_048);

/** A pipeline from `t` to an index; `id`, `data` and `other` are its columns. */
async function openPipeline(bench: Bench, template = "{{ data }}") {
  const dir = await mkdtemp(join(tmpdir(), "sluice-index-"));
  const project = "index";
  const file = join(dir, "sluice.json");
  const connectors = [
    {
      name: "rows",
      source: "postgres",
      to: "rows",
      config: { url: bench.url, slot: `i_${bench.database}`, tables: ["t"] },
    },
    {
      name: "search",
      sink: "pinecone",
      from: "rows",
      transforms: [
        { use: "render", config: { template, metadata: ["other"] } },
        { use: "chunk", config: { maxTokens: 400 } },
      ],
      config: { index: "rows", local: ".sluice/pinecone", embedding: { provider: "hash" } },
    },
  ];
  const topics = { rows: { partitions: 1 } };
  await writeFile(file, JSON.stringify({ project, topics, queue: "embedded", connectors }));
  const pipeline = await loadPipeline([file], { env: {}, catalog });
  const running = await startPipeline(pipeline, {
    log: silent,
    admin: { host: "127.0.0.1", port: 0 },
  });
  const oracle = await openOracle({
    pinecone: join(dir, ".sluice", "pinecone"),
    index: "rows",
    state: pipeline.state,
    project,
  });
  /** Of each record its text, pieced together, and its metadata `other`. */
  const index = async () => {
    const records: Record<string, readonly [text: string, other: unknown]> = {};
    for (const { subject, text, metadata } of await oracle.index())
      records[subject] = [(records[subject]?.[0] ?? "") + text, metadata["other"]];
    return records;
  };
  const counted = async (name: string) => {
    const { connectors } = await running.status();
    return connectors.reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
  };
  let sentinels = 0;
  return {
    /** Waits until all that is committed now has been applied; then the index, without the row that showed it. */
    settled: async () => {
      const text = `sentinel ${(sentinels += 1)}`;
      await bench.all(
        `INSERT INTO t(id, data) VALUES (-1, '${text}') ON CONFLICT (id) DO UPDATE SET data = EXCLUDED.data`,
      );
      await eventually(async () => (await index())['["-1"]']?.[0] === text, text, 20_000);
      const { '["-1"]': _, ...rest } = await index();
      return rest;
    },
    /** Texts that were embedded, but for the sentinels'. */
    embeds: async () => (await counted("embeds")) - sentinels,
    close: async () => {
      await running.stop(3_000);
      await oracle.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

describe.each([15, 18] as const)("an index of rows of PostgreSQL %i", (version) => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres({ version });
  });
  afterAll(() => server?.stop());

  const play = (
    name: string,
    run: (
      bench: Bench,
      open: (template?: string) => ReturnType<typeof openPipeline>,
    ) => Promise<void>,
  ) =>
    it(name, { timeout: 60_000 }, async () => {
      const bench = await openBench(server);
      const opened: Awaited<ReturnType<typeof openPipeline>>[] = [];
      try {
        await bench.all("CREATE TABLE t(id int PRIMARY KEY, data text, other int)");
        await run(bench, async (template) => {
          const pipeline = await openPipeline(bench, template);
          opened.push(pipeline);
          return pipeline;
        });
      } finally {
        for (const pipeline of opened) await pipeline.close();
        await bench.close();
      }
    });

  play(
    "I1, I2, D1: follows deletes, new keys and truncates, and leaves nothing behind",
    async (bench, open) => {
      await bench.all(
        "INSERT INTO t VALUES (0,'Zero',0),(1,'One',0),(2,'Two',0),(3,'Three',0),(4,'Four',0)",
      );
      const { settled } = await open();
      expect(Object.keys(await settled())).toHaveLength(5);
      await bench.all(
        "DELETE FROM t WHERE id=1",
        "UPDATE t SET data='UPDATED' WHERE id=2",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "DELETE FROM t WHERE id=3",
        "UPDATE t SET data='U4' WHERE id=4",
        "UPDATE t SET id=5 WHERE id=0",
      );
      expect(await settled()).toEqual({
        '["2"]': ["UPDATED", 0],
        '["4"]': ["U4", 0],
        '["5"]': ["Zero", 0],
      });
      await bench.together(
        "INSERT INTO t VALUES (6,'six',0)",
        "TRUNCATE t",
        "INSERT INTO t VALUES (5,'five',1)",
      );
      expect(await settled()).toEqual({ '["5"]': ["five", 1] });
    },
  );

  play("I4: what writes the same again embeds nothing", async (bench, open) => {
    await bench.all(
      "ALTER TABLE t REPLICA IDENTITY FULL",
      "INSERT INTO t VALUES (1,'one',0),(2,'two',0)",
    );
    const { settled, embeds } = await open();
    await settled();
    await bench.all("UPDATE t SET data='x'");
    await settled();
    const before = await embeds();
    await bench.all("UPDATE t SET data='x'", "UPDATE t SET data=data");
    const index = await settled();
    expect(index).toEqual({ '["1"]': ["x", 0], '["2"]': ["x", 0] });
    expect(await embeds()).toBe(before);
  });

  play(
    "T1, T2, T3: what a change leaves alone is neither lost nor embedded again",
    async (bench, open) => {
      await bench.all(
        "ALTER TABLE t ALTER data SET STORAGE EXTERNAL",
        `INSERT INTO t VALUES (1,'${long("a")}',1)`,
      );
      const { settled, embeds } = await open();
      await settled();
      await bench.all(`UPDATE t SET data='${long("b")}' WHERE id=1`);
      await settled();
      const before = await embeds();
      await bench.all("UPDATE t SET other=72 WHERE id=1");
      expect(await settled()).toEqual({ '["1"]': [long("b"), 72] });
      await bench.all("ALTER TABLE t REPLICA IDENTITY FULL", "UPDATE t SET other=92 WHERE id=1");
      expect(await settled()).toEqual({ '["1"]': [long("b"), 92] });
      expect(await embeds()).toBe(before);
      // Another record, and the same text.
      await bench.all("ALTER TABLE t REPLICA IDENTITY DEFAULT", "UPDATE t SET id=9 WHERE id=1");
      expect(await settled()).toEqual({ '["9"]': [long("b"), 92] });
      expect(await embeds()).toBe(before);
    },
  );

  play(
    "a row deleted right after a change of which a value was not sent is never half a document",
    async (bench, open) => {
      await bench.all(
        "ALTER TABLE t ALTER data SET STORAGE EXTERNAL",
        `INSERT INTO t VALUES (1,'${long("a")}',1),(2,'${long("c")}',1)`,
      );
      const { settled, embeds } = await open("{{ data }} {{ other }}");
      await settled();
      const before = await embeds();
      await bench.together(
        "UPDATE t SET other=2 WHERE id=1",
        "UPDATE t SET id=3 WHERE id=2",
        "DELETE FROM t WHERE id IN (1,3)",
      );
      expect(await settled()).toEqual({});
      expect(await embeds()).toBe(before);
    },
  );

  play(
    "a table read again embeds nothing of what is the same, and removes what is gone",
    async (bench, open) => {
      await bench.all("INSERT INTO t SELECT i, 'text ' || i, i FROM generate_series(1, 50) i");
      const { settled, embeds } = await open();
      await settled();
      const before = await embeds();
      await bench.all(
        "ALTER TABLE t ALTER id TYPE bigint",
        "DELETE FROM t WHERE id > 3",
        "UPDATE t SET other=0 WHERE id=3",
      );
      await eventually(async () => Object.keys(await settled()).length === 3, "the sweep", 20_000);
      expect(await settled()).toEqual({
        '["1"]': ["text 1", 1],
        '["2"]': ["text 2", 2],
        '["3"]': ["text 3", 0],
      });
      expect(await embeds()).toBe(before);
    },
  );
});
