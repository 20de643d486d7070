import { expect } from "vitest";
import { fakes } from "sluice/testing";
import { config as options } from "../config.ts";
import { check } from "../setup/preflight.ts";
import { eventually, held, lines } from "./harness.ts";
import { onBoth } from "./on-both.test.data.ts";

const config = { tables: ["t"], chunkRows: 10 };
const fill = [
  "CREATE TABLE t(id int PRIMARY KEY, data text)",
  "INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 30) n",
];

onBoth((scenario) => {
  scenario("never, and then initial: what was passed over is copied", async (bench) => {
    await bench.all(...fill);
    const state = fakes.state();
    const first = await bench.start({ ...config, snapshot: "never" }, { state });
    await eventually(() => lines(first, "streaming").length > 0, "the stream");
    await bench.sql("INSERT INTO t VALUES (100, 'streamed')");
    await first.until((events) => held(events, ".t").size === 1);
    await first.stop();
    const second = await bench.start(config, { state });
    await second.until((events) => held([...first.events, ...events], ".t").size === 31);
    await second.stop();
    const third = await bench.start({ ...config, snapshot: "never" }, { state });
    await bench.caughtUp(third);
    expect(third.events).toEqual([]);
  });

  scenario("only, and then initial: copies again, and follows", async (bench) => {
    await bench.all(...fill);
    const state = fakes.state();
    const first = await bench.start({ ...config, snapshot: "only" }, { state });
    await first.ended;
    await bench.sql("DELETE FROM t WHERE id = 7");
    const second = await bench.start(config, { state });
    await second.until((events) => held([...first.events, ...events], ".t").size === 29);
    await bench.sql("UPDATE t SET data = 'followed' WHERE id = 8");
    await second.until((events) => held(events, ".t").get('["8"]')?.["data"] === "followed");
  });

  scenario("only, asked again after its end: copies to who asks, and ends", async (bench) => {
    await bench.all(...fill);
    const state = fakes.state();
    const only = { ...config, snapshot: "only" };
    const first = await bench.start(only, { state });
    await first.ended;
    await bench.sql("DELETE FROM t WHERE id = 7");
    const second = await bench.start(only, { state });
    await second.request({ id: "late", audience: "late" });
    await second.ended;
    expect(held(second.events, ".t").size).toBe(29);
    expect(new Set(second.events.map(({ audience }) => audience))).toEqual(new Set(["late"]));
    expect(await second.pending()).toEqual([]);
    expect(await bench.slot()).toBeUndefined();
  });

  scenario("only, asked after its end for what is not there: refuses, and ends", async (bench) => {
    await bench.all(...fill);
    const state = fakes.state();
    const only = { ...config, snapshot: "only" };
    await (
      await bench.start(only, { state })
    ).ended;
    const second = await bench.start(only, { state });
    await second.request({ id: "typo", collections: ["public.nope"] });
    await second.ended;
    expect(await second.pending()).toEqual([]);
    expect(second.events).toEqual([]);
    expect(await bench.slot()).toBeUndefined();
  });

  scenario(
    "another slot in the config: told by check, and the old one is dropped in the end",
    async (bench) => {
      const { all, sql, url, start, streaming } = bench;
      await all(...fill);
      const state = fakes.state();
      const first = await streaming({ ...config, slot: "before" }, { state });
      await first.stop();
      const about = async (slot: string, more: object = {}) => {
        const signal = new AbortController().signal;
        const parsed = options.parse({ url, ...config, slot, ...more });
        const run = { name: "rows", project: "sluice", config: parsed, state: state.state, signal };
        return (await check(run)).filter(({ code }) => code.startsWith("postgres.slot"));
      };
      expect(await about("before")).toMatchObject([{ severity: "ok" }]);
      expect(await about("behind")).toMatchObject([
        {
          code: "postgres.slot-renamed",
          fix: expect.stringMatching(/^Set "slot": "before"\. Or set "onGap"/),
        },
      ]);
      const renamed = { ...config, slot: "behind" };
      await expect((await start(renamed, { state })).ended).rejects.toMatchObject({
        code: "postgres.position-lost",
      });
      const needed = await start({ ...renamed, snapshot: "when-needed" }, { state });
      await eventually(() => lines(needed, "snapshot complete").length > 0, "the copy");
      expect(
        await sql(
          "SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database()",
        ),
      ).toEqual([{ name: "behind" }]);
      expect(await about("behind")).toMatchObject([{ severity: "ok" }]);
    },
  );

  scenario(
    "setup off: a slot that a person made again is taken where all is read again",
    async (bench) => {
      const { all, sql, database, start } = bench;
      const slot = `s_${database}`;
      const make = () => sql("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
      await all(
        ...fill,
        `CREATE PUBLICATION ${slot} FOR TABLE ONLY t WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)`,
      );
      const needed = { ...config, setup: false, snapshot: "when-needed" };
      const state = fakes.state();
      const early = await start(needed, { state });
      await expect(early.ended).rejects.toMatchObject({
        code: "postgres.slot-missing",
        reason: "refused",
      });
      await make();
      const first = await bench.streaming(needed, { state });
      await first.stop();
      await sql("SELECT pg_drop_replication_slot($1)", [slot]);
      await sql("DELETE FROM t WHERE id = 7");
      const without = await start(needed, { state });
      await expect(without.ended).rejects.toMatchObject({
        code: "postgres.slot-missing",
        fix: expect.stringContaining(`pg_create_logical_replication_slot('${slot}'`),
      });
      await make();
      const second = await start(needed, { state });
      await second.until((events) => held([...first.events, ...events], ".t").size === 29);
    },
  );

  scenario(
    "a row with a NULL in its key is counted, in the copy and in the stream",
    async (bench) => {
      const { all, streaming } = bench;
      await all(
        "CREATE TABLE t(code text UNIQUE, data text)",
        "ALTER TABLE t REPLICA IDENTITY FULL",
        "INSERT INTO t VALUES ('a', 'A'), (NULL, 'none'), (NULL, 'none either')",
      );
      const run = await streaming({ tables: [{ name: "t", key: ["code"] }] });
      const counted = () =>
        [...run.counters].flatMap(([name, n]) =>
          name.startsWith("postgres_rows_without_key") ? [n] : [],
        );
      expect(counted()).toEqual([2]);
      await all("INSERT INTO t VALUES (NULL, 'a third'), ('b', 'B')");
      await bench.caughtUp(run);
      expect(counted()).toEqual([3]);
      expect([...held(run.events, ".t").keys()]).toEqual(['["a"]', '["b"]']);
    },
  );

  scenario(
    "messages: what is ours is nobody's record, what is no text is base64",
    async (bench) => {
      await bench.sql("CREATE TABLE t(id int PRIMARY KEY)");
      const run = await bench.streaming({ tables: ["t"], messages: ["s"], heartbeatMs: 100 });
      await bench.all(
        "SELECT pg_logical_emit_message(true, 'sluice:another', 'a marker of another pipeline')",
        String.raw`SELECT pg_logical_emit_message(true, 'shop', '\xff00fe'::bytea)`,
        "SELECT pg_logical_emit_message(true, 'shop', 'text')",
      );
      await bench.caughtUp(run);
      const messages = run.events.filter(({ source }) => source.includes("/messages/"));
      const contents = messages.map(({ data }) => (data as { readonly after?: object }).after);
      expect(contents).toEqual([
        { prefix: "shop", base64: Buffer.from([0xff, 0, 0xfe]).toString("base64") },
        { prefix: "shop", text: "text" },
      ]);
    },
  );
});
