import { expect } from "vitest";
import type { SluiceEvent } from "sluice";
import { fakes, type SourceRun } from "sluice/testing";
import { eventually, held, isSweep, type Bench } from "./harness.ts";
import { crashing, onBoth } from "./on-both.test.data.ts";

const opOf = (event: SluiceEvent) => (event.data as { readonly op?: string } | undefined)?.op;
const reads = (events: readonly SluiceEvent[], table: string) =>
  events.filter((event) => opOf(event) === "read" && event.source.endsWith(`.${table}`));
const sweeps = (events: readonly SluiceEvent[]) => events.filter(isSweep);
const completed = ({ batches }: SourceRun) => batches.flatMap(({ completes = [] }) => completes);
const done = (run: SourceRun, ...ids: readonly string[]) =>
  eventually(() => ids.every((id) => completed(run).includes(id)), `the end of ${ids.join()}`);

async function two({ sql }: Bench, rows = 30): Promise<void> {
  for (const name of ["a", "b"]) {
    await sql(`CREATE TABLE ${name}(id int PRIMARY KEY)`);
    await sql(`INSERT INTO ${name} SELECT generate_series(1, ${rows})`);
  }
}
const config = { tables: ["a", "b"], chunkRows: 10 };

/** A run whose first snapshot is over and stored. */
async function running(bench: Bench, more: Parameters<Bench["start"]>[1] = {}): Promise<SourceRun> {
  const { state = fakes.state() } = more;
  const run = await bench.start(config, { ...more, state });
  await eventually(
    async () => (await state.state.get(["copied/public.b"]))[0] !== undefined,
    "the first snapshot",
  );
  return run;
}

onBoth((scenario, { version }) => {
  scenario(
    "a request reads its collections only, and ends them by a sweep below what it read",
    async (bench) => {
      await two(bench);
      const run = await running(bench);
      const before = run.events.length;
      await run.request({ id: "one", collections: ["public.b"] });
      await done(run, "one");
      const events = run.events.slice(before);
      expect([reads(events, "a").length, reads(events, "b").length, sweeps(events).length]).toEqual(
        [0, 30, 1],
      );
      const [sweep] = sweeps(events);
      const { below } = (sweep as SluiceEvent).data as { readonly below: string };
      expect(sweep?.source).toMatch(/\.b$/);
      for (const event of run.events.slice(0, before))
        expect(String(event["sequence"]) < below).toBe(true);
      for (const event of reads(events, "b")) expect(String(event["sequence"]) > below).toBe(true);
      await run.request({ id: "none", collections: ["public.unknown"] });
      await eventually(async () => (await run.pending()).length === 0, "the refusal");
      expect(
        run.lines
          .filter(({ message }) => message === "snapshot refused")
          .map(({ fields }) => fields),
      ).toEqual([
        {
          request: "none",
          code: "postgres.not-captured",
          message: "postgres: no captured table is public.unknown.",
          fix: "Name what is captured: public.a, public.b.",
        },
      ]);
    },
  );

  scenario(
    "several requests are answered one by one, also those made while the first snapshot runs",
    async (bench) => {
      await two(bench, 200);
      const run = await bench.start(config);
      await run.request({ id: "1 early", audience: "late" });
      await run.request({ id: "2 again" });
      await run.request({ id: "3 b", collections: ["b"], audience: "other" });
      await done(run, "1 early", "2 again", "3 b");
      expect(completed(run)).toEqual(["1 early", "2 again", "3 b"]);
      const to = (audience?: string) =>
        run.events.filter((event) => event["audience"] === audience);
      expect([to().length, to("late").length, to("other").length]).toEqual([804, 402, 201]);
      expect(sweeps(to("late"))).toHaveLength(2);
      expect(sweeps(to("other")).map(({ source }) => source.slice(-2))).toEqual([".b"]);
    },
  );

  for (const what of ["before", "after"] as const)
    for (const [name, key] of [
      ["in its middle", "copy/public.b"],
      ["at its end", "run"],
    ] as const)
      scenario(
        `a request cut ${name}, ${what} it is stored, is ended by the next run, once`,
        async (bench) => {
          await two(bench);
          const place = fakes.state();
          const quiet = await running(bench, { state: place });
          await quiet.stop();
          let begun = 0;
          const crash = crashing(place, (writes) => {
            const write = writes.find((one) => one.key === key);
            if (!write || (key === "run" && write.value !== undefined)) return undefined;
            begun += 1;
            return what;
          });
          const killed = await bench.start(config, { state: crash.state });
          await killed.request({ id: "r", audience: "late" });
          await expect(killed.ended).rejects.toMatchObject({ name: "Crash" });
          expect(begun).toBe(1);
          const isDone = key === "run" && what === "after";
          const next = await bench.start(config, { state: place });
          expect(await next.pending()).toEqual(isDone ? [] : ["r"]);
          if (!isDone) await done(next, "r");
          await bench.sql("INSERT INTO a VALUES (1000)");
          await next.until((events) => held(events, ".a").has('["1000"]'));
          const all = [...killed.events, ...next.events].filter(
            (event) => event["audience"] === "late",
          );
          expect(new Set(reads(all, "a").map(({ subject }) => subject)).size).toBe(30);
          expect(new Set(reads(all, "b").map(({ subject }) => subject)).size).toBe(30);
          expect(new Set(sweeps(all).map(({ source }) => source)).size).toBe(2);
          await next.request({ id: "z", collections: ["a"] });
          await done(next, "z");
          expect(completed(next)).toEqual(isDone ? ["z"] : ["r", "z"]);
          // A catch-up makes no table known to the others.
          expect(sweeps(next.events).filter((event) => event["audience"] !== "late")).toHaveLength(
            1,
          );
        },
      );

  scenario("a table that the configuration gets later is copied alone", async (bench) => {
    await two(bench);
    const state = fakes.state();
    const first = await bench.start({ ...config, tables: ["a"] }, { state });
    await eventually(
      async () => (await state.state.get(["copied/public.a"]))[0] !== undefined,
      "the first snapshot",
    );
    await first.stop();
    await bench.sql("INSERT INTO a VALUES (1000); INSERT INTO b VALUES (1000)");
    const second = await bench.start(config, { state });
    await second.until((events) => events.some(isSweep) && held(events, ".a").has('["1000"]'));
    expect([reads(second.events, "a").length, reads(second.events, "b").length]).toEqual([0, 31]);
  });

  scenario(
    "never: nothing is copied, whatever is added; requests are answered all the same",
    async (bench) => {
      await two(bench);
      const state = fakes.state();
      const never = { ...config, snapshot: "never" };
      for (const tables of [["a"], ["a", "b"], ["a", "b"]]) {
        const run = await bench.start({ ...never, tables }, { state });
        await eventually(
          () => run.progress.some(({ phase }) => phase === "streaming"),
          "the stream",
        );
        expect(run.progress.at(-1)?.lagBytes).toBeGreaterThanOrEqual(0);
        await bench.sql("DELETE FROM a WHERE id = 1000; INSERT INTO a VALUES (1000)");
        await run.until((events) => held(events, ".a").has('["1000"]'));
        expect(run.events.filter((event) => opOf(event) === "read" || isSweep(event))).toEqual([]);
        await run.stop();
      }
      const run = await bench.start(never, { state });
      await run.request({ id: "r" });
      await done(run, "r");
      expect(reads(run.events, "b")).toHaveLength(30);
    },
  );

  scenario(
    "only: copies, ends, drops the slot, and does nothing when it is started again",
    async (bench) => {
      await two(bench, 100);
      const state = fakes.state();
      const only = { ...config, snapshot: "only" };
      const killed = await bench.start(only, { state, killWhen: (events) => events.length > 100 });
      await killed.ended;
      const run = await bench.start(only, { state });
      await run.ended;
      expect(sweeps(run.events).length).toBeGreaterThan(0);
      for (const table of [".a", ".b"])
        expect(held([...killed.events, ...run.events], table).size).toBe(100);
      expect(await bench.slot()).toBeUndefined();
      const again = await bench.start(only, { state });
      await again.ended;
      expect(again.batches).toEqual([]);
      expect(await bench.slot()).toBeUndefined();
    },
  );

  scenario(
    "when-needed: a lost slot is made again and all is copied, without being asked",
    async (bench) => {
      const { sql, database } = bench;
      await two(bench);
      const state = fakes.state();
      const needed = { ...config, snapshot: "when-needed" };
      const first = await bench.start(needed, { state });
      await eventually(
        async () => (await state.state.get(["copied/public.b"]))[0] !== undefined,
        "the first snapshot",
      );
      await first.stop();
      await sql("SELECT pg_drop_replication_slot($1)", [`s_${database}`]);
      await sql("DELETE FROM a WHERE id = 1");
      const second = await bench.start(needed, { state });
      await second.until((events) => sweeps(events).length === 2);
      expect(held([...first.events, ...second.events], ".a").size).toBe(29);
      await second.stop();
      const third = await bench.start(needed, { state });
      await sql("INSERT INTO a VALUES (1000)");
      await third.until((events) => held(events).size === 1);
      expect(reads(third.events, "a")).toEqual([]);
    },
  );

  scenario(
    "failover slots are made where the server knows them, and refused where not",
    async (bench) => {
      await two(bench);
      const run = await bench.start({ ...config, failover: true });
      if (version === 15)
        return expect(run.ended).rejects.toMatchObject({
          message: expect.stringMatching(/17/) as string,
        });
      await run.until((events) => events.some(isSweep));
      expect((await bench.slot())?.["failover"]).toBe(true);
    },
  );

  scenario(
    "a table that the publication gets back is read again, though the process died in between",
    async (bench) => {
      const { sql, database } = bench;
      await two(bench);
      const state = fakes.state();
      const first = await running(bench, { state });
      await first.stop();
      await sql(`ALTER PUBLICATION "s_${database}" DROP TABLE b`);
      await sql("DELETE FROM b WHERE id = 1");
      // It dies as soon as the publication is right again.
      const dying = {
        ...state,
        state: {
          ...state.state,
          scan: () => {
            throw new Error("dead");
          },
        },
      };
      const killed = await bench.start(config, { state: dying });
      await expect(killed.ended).rejects.toThrow("dead");
      const isBack = await sql(
        "SELECT FROM pg_publication_tables WHERE pubname = $1 AND tablename = 'b'",
        [`s_${database}`],
      );
      expect(isBack).toHaveLength(1);
      const second = await bench.start(config, { state });
      await second.until((events) => events.some(isSweep));
      expect(reads(second.events, "a")).toEqual([]);
      expect(held([...first.events, ...second.events], ".b").size).toBe(29);
      await eventually(
        async () => (await state.state.get(["need/public.b"]))[0] === undefined,
        "nothing needed",
      );
    },
  );
});
