import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { postgres } from "../connectors/sources/postgres/postgres.ts";
import { parseLsn } from "../connectors/sources/postgres/lsn.ts";
import {
  eventually,
  held,
  openBench,
  type Bench,
} from "../connectors/sources/postgres/scenarios/harness.ts";
import { openBackend } from "../core/backend.ts";
import type { Pipeline, Place } from "../core/config/pipeline.ts";
import { defineSink } from "../core/connector.ts";
import { PartialError, PoisonError } from "../core/errors.ts";
import type { SluiceEvent } from "../core/event.ts";
import { z } from "../core/index.ts";
import { askSnapshot, fateOf } from "../core/runtime/requests.ts";
import { startPipeline, type Running } from "../core/runtime/runner.ts";
import { startPostgres, type PostgresServer } from "./postgres-server.ts";
import { startRedis } from "./redis-server.ts";

// The source under the real runner, on a real queue: what becomes of a position that is lost.

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
let projects = 0;

/** A pipeline from the source to a sink that remembers; `start` may be called again, as a new process. */
async function openPipeline(
  bench: Bench,
  more: { readonly queue?: Place; readonly poison?: string } = {},
) {
  const dir = await mkdtemp(join(tmpdir(), "sluice-gap-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const queue: Place = more.queue ?? { kind: "embedded", dir };
  const project = `gap-${process.pid}-${projects++}`;
  const events: SluiceEvent[] = [];
  const sink = defineSink({
    name: "remember",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    accepts: [""],
    open: async () => ({
      write: async (some) => {
        const bad = some.findIndex(
          ({ subject }) => subject !== undefined && subject === more.poison,
        );
        events.push(...some.filter((_, at) => at !== bad));
        if (bad === -1) return;
        const poison = new PoisonError("it never succeeds", { code: "test.poison" });
        throw new PartialError("one", { code: "test.one", failures: new Map([[bad, poison]]) });
      },
      close: async () => {},
    }),
  });
  const runs: Running[] = [];
  onTestFinished(async () => {
    for (const run of runs) await run.stop(3_000);
  });
  const pipeline = (options: {
    readonly onGap?: "fail" | "resnapshot";
    readonly config?: object;
    readonly durability?: "accept-loss";
  }): Pipeline => ({
    project,
    queue,
    state: queue,
    topics: { rows: { partitions: 1, optional: false, maxWaiting: 100 } },
    connectors: [
      {
        kind: "source",
        name: "rows",
        source: postgres,
        config: postgres.config.parse({
          url: bench.url,
          slot: `s_${bench.database}`,
          tables: ["t"],
          heartbeatMs: 300,
          ...options.config,
        }),
        to: "rows",
        ...(options.onGap && { onGap: options.onGap }),
        ...(options.durability && { durability: options.durability }),
      },
      {
        kind: "sink",
        name: "remember",
        sink,
        config: {},
        from: ["rows"],
        transforms: [],
        retry: { attempts: 2, maxDelayMs: 50 },
      },
    ],
  });
  return {
    events,
    start: async (options: Parameters<typeof pipeline>[0] = {}) => {
      const run = await startPipeline(pipeline(options), {
        log: silent,
        admin: { host: "127.0.0.1", port: 0 },
      });
      runs.push(run);
      return run;
    },
    backend: () => openBackend(pipeline({}), { log: silent }),
    stored: async () => (await inState(pipeline({}), "checkpoint"))?.["lsn"] as string | undefined,
    /** The first snapshot is complete, and remembered as such. */
    copied: () =>
      eventually(
        async () => (await inState(pipeline({}), "own/copied/public.t")) !== undefined,
        "the end of the snapshot",
        20_000,
      ),
  };
}

async function inState(pipeline: Pipeline, key: string) {
  const backend = await openBackend(pipeline, { log: silent });
  try {
    const [entry] = await backend.state.scope("rows").state.get([key]);
    return entry && (Object(entry.value) as Readonly<Record<string, unknown>>);
  } finally {
    await backend.close(1_000);
  }
}

const rowsOf = async ({ sql }: Bench) =>
  new Map(
    (await sql("SELECT id, data FROM t")).map((row) => [`["${String(row["id"])}"]`, row["data"]]),
  );
const indexOf = (events: readonly SluiceEvent[]) =>
  new Map([...held(events, "public.t")].map(([key, row]) => [key, row["data"]]));

async function same(bench: Bench, events: readonly SluiceEvent[], ms = 20_000) {
  const wanted = await rowsOf(bench);
  await eventually(
    () => {
      const now = indexOf(events);
      return now.size === wanted.size && [...now].every(([key, data]) => wanted.get(key) === data);
    },
    "the table's rows",
    ms,
  ).catch(() => undefined);
  expect(indexOf(events)).toEqual(wanted);
}

for (const version of [15, 18] as const)
  describe(`postgres ${version}`, () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await startPostgres({ version });
    });
    afterAll(() => server.stop());

    const inDatabase = (name: string, run: (bench: Bench) => Promise<void>) =>
      it(
        name,
        async () => {
          const bench = await openBench(server);
          try {
            await bench.sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
            await bench.sql("INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 50) n");
            await run(bench);
          } finally {
            await bench.close();
          }
        },
        60_000,
      );

    const fillLog = async ({ sql }: Bench) => {
      await sql("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'");
      await sql("SELECT pg_reload_conf()");
      for (let n = 0; n < 6; n++) {
        await sql("SELECT pg_logical_emit_message(false, 'fill', 'x')");
        await sql("SELECT pg_switch_wal()");
      }
      await sql("CHECKPOINT");
      await sql("ALTER SYSTEM RESET max_slot_wal_keep_size");
      await sql("SELECT pg_reload_conf()");
    };
    const drop = ({ sql, database }: Bench) =>
      sql("SELECT pg_drop_replication_slot($1)", [`s_${database}`]);
    const ways: Readonly<Record<string, (bench: Bench) => Promise<unknown>>> = {
      dropped: drop,
      "recreated by someone": async (bench) => {
        await drop(bench);
        await bench.sql("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [
          `s_${bench.database}`,
        ]);
      },
      "advanced by someone": ({ sql, database }) =>
        sql("SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())", [`s_${database}`]),
      "L10: invalidated by max_slot_wal_keep_size": fillLog,
    };
    for (const [name, lose] of Object.entries(ways))
      inDatabase(
        `a slot that was lost (${name}) is loud, and onGap reads again without what is gone`,
        async (bench) => {
          const { sql } = bench;
          const { start, events, copied } = await openPipeline(bench);
          const first = await start();
          await same(bench, events);
          await copied();
          await first.stop(3_000);
          await sql("INSERT INTO t VALUES (100, 'in the gap')");
          await sql("DELETE FROM t WHERE id <= 10");
          await sql("UPDATE t SET data = 'in the gap' WHERE id = 20");
          await lose(bench);
          await sql("DELETE FROM t WHERE id = 30");

          const second = await start();
          const { connector, error } = await second.failed;
          expect(connector).toBe("rows");
          expect(error).toMatchObject({
            name: "PositionLostError",
            code: "postgres.position-lost",
          });
          expect((error as { readonly fix: string }).fix).toMatch(/onGap.*remove/s);
          await second.stop(3_000);
          expect(indexOf(events).size).toBe(50); // Nothing is taken from the index meanwhile.

          await start({ onGap: "resnapshot" });
          await same(bench, events);
          await sql("UPDATE t SET data = 'after' WHERE id = 40");
          await same(bench, events);
          expect(
            events
              .filter(({ subject }) => subject === '["1"]')
              .every(({ type }) => !type.endsWith("deleted")),
          ).toBe(true);
        },
      );

    inDatabase("a lost position is made up for by reading, with `never` too", async (bench) => {
      const { sql } = bench;
      const { start, events } = await openPipeline(bench);
      const config = { snapshot: "never" };
      const first = await start({ config });
      await eventually(async () => (await bench.slot())?.["active"] === true, "the stream");
      await sql("INSERT INTO t VALUES (100, 'streamed'), (101, 'streamed too')");
      await eventually(() => indexOf(events).size === 2, "the stream's rows");
      await first.stop(3_000);
      await sql("DELETE FROM t WHERE id = 100");
      await sql("INSERT INTO t VALUES (102, 'in the gap')");
      await drop(bench);
      await start({ config, onGap: "resnapshot" });
      await same(bench, events);
      await sql("UPDATE t SET data = 'after' WHERE id = 40");
      await same(bench, events);
    });

    inDatabase("`only` has ended: who asks for a snapshot then gets one", async (bench) => {
      const { start, events, backend } = await openPipeline(bench);
      const run = await start({ config: { snapshot: "only" } });
      const isOver = async () =>
        (await run.status()).connectors.find(({ name }) => name === "rows")?.state === "stopped";
      await eventually(isOver, "its end", 20_000);
      await same(bench, events);
      await bench.sql("DELETE FROM t WHERE id = 7");
      const place = await backend();
      try {
        const { state } = place.state.scope("rows");
        const { request } = await askSnapshot(state);
        await eventually(
          async () => (await fateOf(state, request.id)) === "done",
          "the snapshot",
          20_000,
        );
        await same(bench, events);
        await eventually(isOver, "its end again", 20_000);
        expect(await bench.slot()).toBeUndefined();
      } finally {
        await place.close(1_000);
      }
    });

    inDatabase(
      "a server that is another one, or was restored, is a lost position",
      async (bench) => {
        const { start, events, copied } = await openPipeline(bench);
        const first = await start();
        await same(bench, events);
        await copied();
        await first.stop(3_000);
        for (const [other, says] of [
          [version === 15 ? 18 : 15, /the server is another one/],
          [version, /there is no such slot/], // of the same template: as if restored
        ] as const) {
          const server = await startPostgres({ version: other });
          onTestFinished(server.stop);
          const { url } = await server.createDatabase(bench.database);
          const there = await openBench({
            ...server,
            createDatabase: async () => ({ name: bench.database, url, drop: async () => {} }),
          });
          await there.sql("CREATE TABLE t(id int PRIMARY KEY, data text)");
          await there.close();
          const run = await start({ config: { url } });
          const { error } = await run.failed;
          expect(error).toMatchObject({
            name: "PositionLostError",
            message: expect.stringMatching(says) as string,
          });
          await run.stop(3_000);
        }
      },
    );

    inDatabase(
      "N5: a slot lost in the copy ends it with the fix, and once that is done the index is the table",
      async (bench) => {
        const { sql } = bench;
        const { start, events, backend } = await openPipeline(bench);
        await sql("INSERT INTO t SELECT n, repeat('x', 5000) FROM generate_series(1001, 4000) n");
        const first = await start({ config: { chunkRows: 10 } });
        await eventually(() => events.length > 100, "a part of the copy");
        await first.stop(3_000);
        expect(events.some(({ type }) => type.endsWith("cleared"))).toBe(false);
        await fillLog(bench);
        const second = await start({ onGap: "resnapshot" });
        const { error } = await second.failed;
        expect(error).toMatchObject({
          name: "ConfigError",
          code: "postgres.slot-lost-in-snapshot",
        });
        expect((error as { readonly fix: string }).fix).toMatch(/max_slot_wal_keep_size/);
        await second.stop(3_000);
        // `sluice remove`: what is at the origin, then the state.
        const place = await backend();
        await postgres.remove?.({
          name: "rows",
          project: (await backend()).project,
          config: postgres.config.parse({
            url: bench.url,
            slot: `s_${bench.database}`,
            tables: ["t"],
          }),
          state: place.state.scope("rows").state,
          signal: new AbortController().signal,
          log: silent,
          meter: () => {},
        });
        const { state } = place.state.scope("rows");
        for await (const page of state.scan(""))
          await state.each(page.map(({ key }) => ({ key, value: undefined })));
        await place.close(1_000);
        await sql("DELETE FROM t WHERE id < 1050");
        await start();
        await same(bench, events);
      },
    );

    inDatabase(
      "a publication dropped while log is unread is a lost position, and no endless retry",
      async (bench) => {
        const { sql, database } = bench;
        const { start, events, copied } = await openPipeline(bench);
        const first = await start();
        await same(bench, events);
        await copied();
        await first.stop(3_000);
        await sql(`DROP PUBLICATION "s_${database}"`);
        await sql("INSERT INTO t VALUES (100, 'unpublished')");
        await sql("DELETE FROM t WHERE id = 1");
        await start({ onGap: "resnapshot" });
        await same(bench, events);
      },
    );

    inDatabase(
      "L6: changes of one key keep their order, and a record that always fails is parked alone",
      async (bench) => {
        const { sql } = bench;
        const { start, events, backend } = await openPipeline(bench, { poison: '["13"]' });
        await start();
        await eventually(() => indexOf(events).size === 49, "the others");
        for (let n = 0; n < 500; n++) {
          await sql("UPDATE t SET data = $1 WHERE id = 7", [`${n}`]);
          if (n % 50 === 0) await sql("UPDATE t SET data = $1 WHERE id = 13", [`${n}`]);
        }
        await eventually(() => indexOf(events).get('["7"]') === "499", "the last");
        const seen = events
          .filter(({ subject }) => subject === '["7"]')
          .map((event) => String(event["sequence"]));
        expect(seen).toEqual(seen.toSorted());
        expect(events.some(({ subject }) => subject === '["13"]')).toBe(false);
        const place = await backend();
        const parked = new Set<string | undefined>();
        for await (const page of place.deadLetters.list("remember"))
          for (const { event } of page) parked.add(event.subject);
        await place.close(1_000);
        expect([...parked]).toEqual(['["13"]']);
      },
    );

    inDatabase(
      "L9: walsenders that end and servers that restart cost nothing, for the runner starts again",
      async (bench) => {
        const { events, start } = await openPipeline(bench);
        await start();
        await same(bench, events);
        await bench.sql(
          "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active",
        );
        await bench.sql("INSERT INTO t VALUES (100, 'terminated')");
        await same(bench, events);
        await bench.sql("INSERT INTO t VALUES (101, 'restarted')");
        await server.restart();
        await eventually(
          () => indexOf(events).has('["101"]'),
          "what was there before the restart",
          30_000,
        );
        const client = await bench.connect();
        await client.query("DELETE FROM t WHERE id = 100");
        await client.end();
        await eventually(() => !indexOf(events).has('["100"]'), "what came after it", 30_000);
      },
    );

    inDatabase(
      "L5: on a queue that may lose a second, the server hears five seconds late",
      async (bench) => {
        const redis = await startRedis(["--maxmemory-policy", "noeviction"]);
        onTestFinished(redis.stop);
        const { events, start, stored } = await openPipeline(bench, {
          queue: { kind: "redis", url: redis.url },
        });
        await start();
        await same(bench, events);
        const [row] = await bench.sql("SELECT pg_current_wal_insert_lsn()::text AS lsn");
        await bench.sql("INSERT INTO t VALUES (100, 'x')");
        const lsn = parseLsn(String(row?.["lsn"]));
        const since = performance.now();
        await same(bench, events);
        await eventually(
          async () => {
            const confirmed = parseLsn(String((await bench.slot())?.["confirmed_flush_lsn"]));
            expect(confirmed).toBeLessThanOrEqual(parseLsn((await stored()) ?? "0/0"));
            return confirmed > lsn;
          },
          "the confirmation",
          20_000,
        );
        expect(performance.now() - since).toBeGreaterThan(4_500);
      },
    );

    inDatabase("a queue that forgets is refused, unless the loss is accepted", async (bench) => {
      const redis = await startRedis(["--appendonly", "no", "--maxmemory-policy", "noeviction"]);
      onTestFinished(redis.stop);
      const { events, start } = await openPipeline(bench, {
        queue: { kind: "redis", url: redis.url },
      });
      const refused = await start();
      expect((await refused.failed).error).toMatchObject({
        name: "ConfigError",
        code: "source.forgets",
      });
      expect(await bench.slot()).toBeUndefined();
      await refused.stop(3_000);
      await start({ durability: "accept-loss" });
      await same(bench, events);
    });
  });
