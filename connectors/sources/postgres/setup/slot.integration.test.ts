import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Log } from "sluice";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { createSlot } from "./create-slot.ts";
import { openDatabase, silent, type Database } from "./harness.ts";
import { dropSlot, judgeSlot, readOrigin, readSlot } from "./slot.ts";
import { walBudget } from "./wal-budget.ts";
import { openReplication } from "../wire/replication.ts";

const run = () => ({ name: "test", signal: new AbortController().signal });

describe.each([15, 18] as const)("slots of PostgreSQL %i", (version) => {
  let server: PostgresServer;
  let db: Database;
  beforeAll(async () => {
    server = await startPostgres({ version });
    db = await openDatabase(server.url());
  });
  afterAll(async () => {
    await db?.close();
    await server?.stop();
  });
  const create = async (
    slot: string,
    log: Log = silent,
    signal = run().signal,
    failover = false,
  ) => {
    const replication = await openReplication({ url: db.url }, run());
    try {
      const options = { slot, failover, log, signal, patienceMs: 50 };
      return await createSlot(replication, db.session, options);
    } finally {
      await replication.close();
    }
  };
  const origin = async () => {
    const replication = await openReplication({ url: db.url }, run());
    try {
      return await readOrigin(replication);
    } finally {
      await replication.close();
    }
  };

  it("are made, read, judged and dropped", async () => {
    expect(await readSlot(db.session, "made")).toBeUndefined();
    const { consistentPoint } = await create("made");
    const slot = await readSlot(db.session, "made");
    expect(slot).toMatchObject({
      name: "made",
      plugin: "pgoutput",
      type: "logical",
      database: "postgres",
      temporary: false,
      activePid: null,
      confirmedFlushLsn: consistentPoint,
      walStatus: "reserved",
    });
    const here = await origin();
    expect(here.flushLsn).toBeGreaterThanOrEqual(consistentPoint);
    const stored = { ...here, lsn: consistentPoint };
    expect(judgeSlot(slot, stored, here)).toEqual({ state: "valid" });
    await db.run("SELECT pg_logical_emit_message(true, 'x', 'y')");
    await db.run("SELECT pg_replication_slot_advance('made', pg_current_wal_lsn())");
    expect(judgeSlot(await readSlot(db.session, "made"), stored, here).state).toBe("moved");
    expect([await dropSlot(db.session, "made"), await dropSlot(db.session, "made")]).toEqual([
      true,
      false,
    ]);
  });

  it("that are in use are not dropped, and the one who uses them is named", async () => {
    await create("used");
    await db.run("CREATE PUBLICATION p");
    const replication = await openReplication({ url: db.url }, run());
    const stream = await replication.start({
      slot: "used",
      from: 0n,
      publication: "p",
      confirmed: () => 0n,
      signal: run().signal,
    });
    await expect(dropSlot(db.session, "used")).rejects.toMatchObject({
      code: "postgres.slot-busy",
      message: `postgres: slot "used" is in use by process ${replication.pid}.`,
    });
    expect(judgeSlot(await readSlot(db.session, "used"), undefined, await origin()).state).toBe(
      "busy",
    );
    await stream.close();
    await expect.poll(() => dropSlot(db.session, "used").catch(() => false)).toBe(true);
  });

  it("wait for running transactions, and say for which", async () => {
    const other = await openDatabase(db.url);
    await other.run("CREATE TABLE IF NOT EXISTS w (id int)", "BEGIN", "INSERT INTO w VALUES (1)");
    const said: object[] = [];
    const log = { ...silent, warn: (fields: object) => said.push(fields) };
    const made = create("patient", log);
    await expect.poll(() => said.length).toBe(1);
    expect(said).toMatchObject([
      { slot: "patient", blockers: [{ state: "idle in transaction", user: "postgres" }] },
    ]);
    await other.run("PREPARE TRANSACTION 'left behind'");
    await db.run("COMMIT PREPARED 'left behind'");
    expect((await made).consistentPoint).toBeGreaterThan(0n);
    await dropSlot(db.session, "patient");
    await other.close();
  });

  it("name a forgotten prepared transaction as what they wait for", async () => {
    await db.run(
      "CREATE TABLE IF NOT EXISTS w (id int)",
      "BEGIN",
      "INSERT INTO w VALUES (1)",
      "PREPARE TRANSACTION 'forgotten'",
    );
    const said: object[] = [];
    const made = create("patient", { ...silent, warn: (fields: object) => said.push(fields) });
    await expect.poll(() => said.length).toBe(1);
    expect(said).toMatchObject([{ blockers: [{ prepared: "forgotten", user: "postgres" }] }]);
    await db.run("ROLLBACK PREPARED 'forgotten'");
    await made;
    await dropSlot(db.session, "patient");
  });

  it("are taken back when their creation is aborted", async () => {
    const other = await openDatabase(db.url);
    await other.run("CREATE TABLE IF NOT EXISTS w (id int)", "BEGIN", "INSERT INTO w VALUES (1)");
    const control = new AbortController();
    const made = create("aborted", silent, control.signal);
    made.catch(() => {}); // awaited below
    await expect.poll(() => readSlot(db.session, "aborted")).toBeDefined();
    const half = await readSlot(db.session, "aborted");
    expect([half?.confirmedFlushLsn, judgeSlot(half, undefined, await origin()).state]).toEqual([
      null,
      "busy",
    ]);
    control.abort(new Error("stopped"));
    await expect(made).rejects.toThrow("stopped");
    await expect.poll(() => readSlot(db.session, "aborted")).toBeUndefined();
    await other.run("COMMIT");
    await other.close();
    expect(await readSlot(db.session, "aborted")).toBeUndefined();
  });

  it("can be failover slots from 17 on", async () => {
    if (version < 17) {
      await expect(create("failing", silent, run().signal, true)).rejects.toThrow("failover");
      return;
    }
    await create("failing", silent, run().signal, true);
    expect((await readSlot(db.session, "failing"))?.failover).toBe(true);
    await dropSlot(db.session, "failing");
  });

  it("have a budget, and are lost beyond it", async () => {
    expect(await walBudget(db.session, "budget")).toBeUndefined();
    await create("budget");
    const none = await walBudget(db.session, "budget");
    expect(none?.limitBytes).toBeUndefined();
    expect(none?.safeBytes).toBeUndefined();
    await db.run("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'", "SELECT pg_reload_conf()");
    const limit = 32 * 2 ** 20;
    await expect.poll(async () => (await walBudget(db.session, "budget"))?.limitBytes).toBe(limit);
    const fresh = await walBudget(db.session, "budget");
    expect(fresh?.safeBytes).toBeLessThanOrEqual(limit);
    expect(fresh?.safeBytes).toBeGreaterThan(limit / 4);
    for (let segment = 0; segment < 8; segment++)
      await db.run("SELECT pg_logical_emit_message(false, 'fill', 'x')", "SELECT pg_switch_wal()");
    expect((await walBudget(db.session, "budget"))?.retainedBytes).toBeGreaterThan(4 * 2 ** 24);
    await db.run("CHECKPOINT");
    const slot = await readSlot(db.session, "budget");
    expect(slot?.walStatus).toBe("lost");
    expect(judgeSlot(slot, undefined, await origin())).toEqual({
      state: "lost",
      reason: "wal_removed",
    });
    expect((await walBudget(db.session, "budget"))?.safeBytes).toBe(0);
    await dropSlot(db.session, "budget");
    await db.run("ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()");
  });
});
