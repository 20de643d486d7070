import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { SluiceEvent } from "sluice";
import { fakes, type FakeState } from "sluice/testing";
import { parseLsn } from "../lsn.ts";
import type { Position } from "../position.ts";
import { eventually, held, type Bench } from "./harness.ts";
import { onBoth } from "./on-both.test.data.ts";

/** Rows of this size fill a batch by 17 of them, so that a transaction of 50 has checkpoints inside. */
const wide = 60_000;

const ids = (events: readonly SluiceEvent[]) => events.map(({ id }) => id);

async function storedPosition(state: FakeState): Promise<Position> {
  const [entry] = await state.state.get(["checkpoint"]);
  return entry?.value as Position;
}

async function confirmed(bench: Bench): Promise<bigint> {
  return parseLsn(String((await bench.slot())?.["confirmed_flush_lsn"]));
}

/** Of stream rows: the number of the row in its transaction. */
const ordinal = (event: SluiceEvent) => Number.parseInt(String(event["sequence"]).slice(-8), 16);
const metaOf = (event: SluiceEvent) =>
  (event.data as { readonly meta: Readonly<Record<string, unknown>> }).meta;
const isRow = (event: SluiceEvent) => event.type.startsWith("dev.sluice.record.");

onBoth((scenario, { server }) => {
  /** Kills a run within a transaction, goes on, and gives what both runs published of it. */
  const cut = async (
    bench: Bench,
    count: number,
    killAt: number,
    write: () => Promise<unknown>,
  ) => {
    await bench.sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
    await bench.sql("ALTER TABLE t ALTER data SET STORAGE EXTERNAL");
    const state = fakes.state();
    const quiet = await bench.streaming({ tables: ["t"] }, { state });
    await quiet.stop();
    await write();
    const first = await bench.start(
      { tables: ["t"] },
      { state, killWhen: (events) => events.length >= killAt },
    );
    await first.ended;
    expect(first.events.length).toBeLessThan(count);
    const { at } = await storedPosition(state);
    expect(at?.ordinal).toBe(first.batches.slice(0, -1).flatMap(({ events }) => events).length);
    const second = await bench.start({ tables: ["t"] }, { state });
    await second.until((events) => events.some((event) => event.subject === `["${count}"]`));
    // It goes on inside the transaction: what the checkpoint covers is not published again.
    expect(ordinal(second.events[0] as SluiceEvent)).toBe((at?.ordinal ?? 0) + 1);
    const all = new Set([...ids(first.events), ...ids(second.events)]);
    expect(all.size).toBe(count);
    const again = ids(second.events).filter((id) => ids(first.events).includes(id));
    expect(again).toEqual(ids(first.batches.at(-1)?.events ?? []));
    expect([...held([...first.events, ...second.events]).keys()]).toEqual(
      Array.from({ length: count }, (_, n) => `["${n + 1}"]`),
    );
  };

  scenario("L1: killed at row 20 of a transaction of 50, it goes on inside of it", (bench) =>
    cut(bench, 50, 20, () =>
      bench.sql(`INSERT INTO t SELECT n, repeat('x', ${wide}) FROM generate_series(1, 50) n`),
    ),
  );

  scenario("L2: rows of one COPY that share an LSN are told apart after a kill", async (bench) => {
    const file = join(server().dir, `${bench.database}.copy`);
    try {
      await cut(bench, 40, 18, async () => {
        await bench.sql(
          `COPY (SELECT n, repeat('x', ${wide}) FROM generate_series(1, 40) n) TO '${file}'`,
        );
        await bench.sql(`COPY t FROM '${file}'`);
      });
    } finally {
      await rm(file, { force: true });
    }
  });

  scenario("L3: an idle source, and one beside busy tables, lets the log go", async (bench) => {
    await bench.sql("CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE other(id int)");
    await bench.streaming({ tables: ["t"], heartbeatMs: 200 });
    const passes = async (write: string) => {
      const [row] = await bench.sql("SELECT pg_current_wal_insert_lsn()::text AS lsn");
      await bench.sql(write);
      await eventually(async () => {
        await bench.sql("SELECT pg_switch_wal()");
        return (await confirmed(bench)) > parseLsn(String(row?.["lsn"]));
      }, `a confirmation behind ${write}`);
    };
    await passes("SELECT pg_switch_wal()");
    await passes("INSERT INTO other SELECT generate_series(1, 1000)");
    await passes("INSERT INTO other SELECT generate_series(1, 1000)");
  });

  scenario(
    "L4: a stalled sink holds the slot, not memory, and the connection lives",
    async (bench) => {
      const { sql, database } = bench;
      await sql(`ALTER DATABASE ${database} SET wal_sender_timeout = '1500ms'`);
      await sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
      await sql("ALTER TABLE t ALTER data SET STORAGE EXTERNAL");
      const state = fakes.state();
      const run = await bench.streaming({ tables: ["t"], heartbeatMs: 500 }, { state });
      const sender = async () => (await bench.slot())?.["active_pid"];
      const pid = await sender();
      run.pause();
      await sql("INSERT INTO t VALUES (0, 'first')");
      const before = process.memoryUsage();
      const since = performance.now();
      for (let n = 0; performance.now() - since < 7_500; n++) {
        if (n < 60)
          await sql(
            `INSERT INTO t SELECT n, repeat('x', 10000) FROM generate_series(${n * 100 + 1}, ${n * 100 + 100}) n`,
          );
        const now = await confirmed(bench);
        expect(now).toBeLessThanOrEqual(parseLsn((await storedPosition(state)).lsn));
        await sql("SELECT pg_sleep(0.05)");
      }
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      expect(heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(30e6);
      expect(await sender()).toBe(pid);
      run.resume();
      await run.until(
        (events) => events.filter(isRow).length >= 6_001,
        "what was written meanwhile",
      );
      expect(await sender()).toBe(pid);
      expect(held(run.events).size).toBe(6_001);
    },
  );

  scenario(
    "L5: what is confirmed is stored, under load and while storing takes long",
    async (bench) => {
      const { sql, database } = bench;
      await sql(`ALTER DATABASE ${database} SET wal_sender_timeout = '3s'`);
      await sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
      const place = fakes.state();
      let open: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => (open = resolve));
      let isHeld = () => false;
      const state = {
        ...place,
        state: {
          ...place.state,
          all: async (...given: Parameters<typeof place.state.all>) => {
            if (isHeld()) await gate;
            return place.state.all(...given);
          },
        },
      };
      const run = await bench.streaming({ tables: ["t"], heartbeatMs: 300 }, { state });
      let last = 0n;
      const sample = async () => {
        const now = await confirmed(bench);
        expect(now).toBeGreaterThanOrEqual(last);
        last = now;
        // Read after it, so that the checkpoint can only be newer.
        expect(now).toBeLessThanOrEqual(parseLsn((await storedPosition(state)).lsn));
      };
      for (let n = 0; n < 150; n++) {
        await sql("INSERT INTO t VALUES ($1, 'x'); ".replace("$1", `${n}`));
        await sample();
      }
      isHeld = () => held(run.events).has('["1000"]');
      try {
        await sql("INSERT INTO t VALUES (1000, 'held')");
        await eventually(isHeld, "the held batch");
        // Published, not stored: the server must not hear of it, however often it is told something.
        const replies = new Set<unknown>();
        await eventually(async () => {
          await sample();
          const [row] = await sql(
            "SELECT r.reply_time::text FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.database = current_database()",
          );
          replies.add(row?.["reply_time"]);
          return replies.size > 3;
        }, "three confirmations");
      } finally {
        open();
      }
      const [row] = await sql("SELECT pg_current_wal_lsn()::text AS lsn");
      await eventually(async () => {
        await sample();
        return last >= parseLsn(String(row?.["lsn"]));
      }, "the confirmation after all");
    },
  );

  scenario("L7: messages of others come by their prefix, and once", async (bench) => {
    const { sql } = bench;
    await sql("CREATE TABLE t(id int PRIMARY KEY)");
    const state = fakes.state();
    const config = { tables: ["t"], messages: ["outbox"] };
    const run = await bench.streaming(config, { state });
    await sql("SELECT pg_logical_emit_message(true, 'noise', 'x')");
    await sql("SELECT pg_logical_emit_message(false, 'noise', 'x')");
    await sql("SELECT pg_logical_emit_message(false, 'outbox', 'free')");
    await sql("BEGIN");
    await sql(
      "SELECT pg_logical_emit_message(false, 'outbox.b', 'rolled back, and said all the same')",
    );
    await sql("SELECT pg_logical_emit_message(true, 'outbox.b', 'rolled back')");
    await sql("ROLLBACK");
    await sql(
      "BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'outbox', 'inside'); INSERT INTO t VALUES (2); COMMIT",
    );
    const said = (events: readonly SluiceEvent[]) =>
      events.flatMap((event) => {
        const { after } = event.data as { readonly after?: Readonly<Record<string, unknown>> };
        return event.source.includes("/messages/")
          ? [`${event.source.split("/").at(-1)}: ${String(after?.["text"])}`]
          : [];
      });
    await run.until((events) => held(events).has('["2"]'));
    const wanted = [
      "outbox: free",
      "outbox%2Eb: rolled back, and said all the same",
      "outbox: inside",
    ];
    expect(said(run.events)).toEqual(wanted);
    expect(new Set(ids(run.events)).size).toBe(run.events.length);
    await run.stop();

    await sql("SELECT pg_logical_emit_message(false, 'outbox', 'while it was down')");
    const next = await bench.start(config, { state });
    await sql("INSERT INTO t VALUES (3)");
    await next.until((events) => held(events).has('["3"]'));
    expect(said(next.events)).toEqual(["outbox: while it was down"]);
    const [message] = next.events;
    await next.stop();

    // A message outside of transactions moves the checkpoint as a commit does.
    const killed = await bench.start(config, { state, killWhen: (events) => events.length > 0 });
    await sql("SELECT pg_logical_emit_message(false, 'outbox', 'again')");
    await killed.ended;
    const last = await bench.start(config, { state });
    await last.until((events) => events.length > 0);
    expect(ids(last.events)).toEqual(ids(killed.events));
    expect(String(last.events[0]?.["sequence"]) > String(message?.["sequence"])).toBe(true);
    await sql("INSERT INTO t VALUES (4)");
    await last.until((events) => held(events).has('["4"]'));
    expect(said(last.events)).toEqual(["outbox: again"]);
  });

  scenario(
    "L8: a transaction is told by its LSN and xid, its rows by their number, its origin by name",
    async (bench) => {
      const { sql } = bench;
      await sql("CREATE TABLE t(id int PRIMARY KEY)");
      const run = await bench.streaming({ tables: ["t"] });
      const origin = `o_${bench.database}`;
      await sql("INSERT INTO t VALUES (1)");
      await sql("SELECT pg_replication_origin_create($1)", [origin]);
      await sql("SELECT pg_replication_origin_session_setup($1)", [origin]);
      await sql("BEGIN; INSERT INTO t VALUES (2), (3); UPDATE t SET id = 4 WHERE id = 1; COMMIT");
      await sql("SELECT pg_replication_origin_session_reset()");
      await sql("INSERT INTO t VALUES (5)");
      await run.until((events) => held(events).has('["5"]'));
      await sql("SELECT pg_replication_origin_drop($1)", [origin]);
      const rows = run.events.filter((event) => isRow(event));
      expect(rows.map((event) => [event.subject, metaOf(event)["origin"], ordinal(event)])).toEqual(
        [
          ['["1"]', undefined, 1],
          ['["2"]', origin, 1],
          ['["3"]', origin, 2],
          ['["1"]', origin, 3],
          ['["4"]', origin, 3],
          ['["5"]', undefined, 1],
        ],
      );
      const groups = rows.map(
        (event) => `${String(metaOf(event)["lsn"])} ${String(metaOf(event)["xid"])}`,
      );
      expect(new Set(groups).size).toBe(3);
      expect(new Set(groups.slice(1, 5)).size).toBe(1);
    },
  );

  scenario("L9: a terminated walsender and a restarted server cost nothing", async (bench) => {
    const { sql } = bench;
    await sql("CREATE TABLE t(id int PRIMARY KEY)");
    const state = fakes.state();
    const events: SluiceEvent[] = [];
    const ends: readonly (() => Promise<unknown>)[] = [
      () =>
        sql(
          "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()",
        ),
      () =>
        sql(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'sluice%'",
        ),
    ];
    for (const [n, end] of ends.entries()) {
      const run = await (n === 0 ? bench.streaming : bench.start)({ tables: ["t"] }, { state });
      await sql("INSERT INTO t VALUES ($1)", [n * 2]);
      await run.until((some) => held(some).has(`["${n * 2}"]`));
      await end();
      await sql("INSERT INTO t VALUES ($1)", [n * 2 + 1]);
      await expect(run.ended).rejects.toMatchObject({
        name: "RetryableError",
        reason: "unreachable",
      });
      events.push(...run.events);
    }
    const run = await bench.start({ tables: ["t"] }, { state });
    await run.until((some) => held([...events, ...some]).size === 4);
  });
});
