import { existsSync } from "node:fs";
import { chown, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Finding } from "sluice";
import { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { startPooler } from "../../../../test/transaction-pooler.ts";
import { fakes } from "sluice/testing";
import { codes, openDatabase, optionsOf, remedies, type Database } from "./harness.ts";
import { check } from "./preflight.ts";
import { openReplication } from "../wire/replication.ts";

const advice = "warning no-wal-limit";
const healthy = ["ok server", "ok tables", "ok publication", "ok slot"];

describe.each([15, 18] as const)("preflight against PostgreSQL %i", (version) => {
  let server: PostgresServer;
  let db: Database;
  beforeAll(async () => {
    server = await startPostgres({ version, settings: { max_slot_wal_keep_size: "1GB" } });
  });
  afterAll(() => server?.stop());
  beforeEach(async () => {
    db = await openDatabase(server.url());
    await db.run(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active",
      "DROP SCHEMA public CASCADE",
      "CREATE SCHEMA public",
      "DROP PUBLICATION IF EXISTS sluice_shop",
      "CREATE TABLE a (id int PRIMARY KEY, x text)",
    );
  });
  afterEach(async () => {
    await db.close();
    await server.restart();
    db = await openDatabase(server.url());
    await db.run("ALTER SYSTEM RESET ALL");
    await db.close();
    await server.restart();
  });

  const look = (
    more: Readonly<Record<string, unknown>> = {},
    url = server.url(),
    { state } = fakes.state(),
  ) =>
    check({
      name: "shop",
      project: "sluice",
      state,
      config: optionsOf(url, ["a"], more),
      signal: new AbortController().signal,
    });
  const reconnected = async (mend: () => Promise<void>) => {
    await db.close();
    await mend();
    db = await openDatabase(server.url());
  };
  const change = async (setting: string, value: string) => {
    await db.run(`ALTER SYSTEM SET ${setting} = '${value}'`);
    await reconnected(server.restart);
  };
  /** Runs the SQL as an administrator, restarts where the fix says so. */
  const mended = async (findings: readonly Finding[]) => {
    await db.run(...remedies(findings));
    if (findings.some(({ fix }) => fix?.includes("restart the server")))
      await reconnected(server.restart);
    return codes(await look());
  };

  it("is content with a server as it should be, and changes nothing", async () => {
    expect(codes(await look())).toEqual(healthy);
    expect(
      await db.run("SELECT FROM pg_publication UNION ALL SELECT FROM pg_replication_slots"),
    ).toEqual([]);
  });

  it("says everything at once, each with the SQL that mends it", async () => {
    await db.run(
      'DROP ROLE IF EXISTS "Odd""role"',
      'CREATE ROLE "Odd""role" LOGIN',
      "ALTER TABLE a ENABLE ROW LEVEL SECURITY",
      "CREATE SCHEMA hidden",
      "CREATE TABLE hidden.b (id int)",
      "REVOKE EXECUTE ON FUNCTION pg_logical_emit_message FROM PUBLIC".replace(
        "message",
        `message(boolean, text, text${version >= 17 ? ", boolean" : ""})`,
      ),
      "ALTER SYSTEM SET max_slot_wal_keep_size = -1",
      "SELECT pg_reload_conf()",
    );
    const url = server.url().replace("postgres@", "Odd%22role@");
    const all = () =>
      check({
        name: "shop",
        project: "sluice",
        state: fakes.state().state,
        config: optionsOf(url, ["a", "hidden.b", "missing"], { heartbeatMs: 0 }),
        signal: new AbortController().signal,
      });
    const findings = await all();
    expect(codes(findings)).toEqual([
      "ok server",
      "error no-replication",
      "error no-messages",
      "warning no-heartbeat",
      advice,
      "error table-missing",
      "error no-key",
      "error no-select",
      "error row-security",
      "ok tables",
      "error publication-missing",
      "ok slot",
    ]);
    await db.run(
      ...remedies(findings.filter(({ code }) => code !== "postgres.publication-missing")),
    );
    // The server takes the new limit in when it comes to it.
    await expect.poll(async () => codes(await all())).not.toContain(advice);
    const second = await all();
    expect(codes(second)).toEqual([
      "ok server",
      "warning no-heartbeat",
      "error table-missing",
      "error no-select",
      "ok tables",
      "error publication-missing",
      "ok slot",
    ]);
    await db.run("CREATE TABLE missing (id int PRIMARY KEY)", ...remedies(second));
    const third = await all();
    expect(codes(third)).toEqual([
      "ok server",
      "warning no-heartbeat",
      "error no-select",
      "ok tables",
      "error publication-lacks-table",
      "ok slot",
    ]);
    await db.run(...remedies(third));
    expect(codes(await all())).toEqual(["ok server", "warning no-heartbeat", ...healthy.slice(1)]);
    await db.run('DROP OWNED BY "Odd""role"', 'DROP ROLE "Odd""role"');
  });

  it("knows the role that Amazon gives instead of the attribute", async () => {
    await db.run(
      "CREATE ROLE rds_replication",
      "CREATE ROLE reader LOGIN",
      "GRANT SELECT ON a TO reader",
    );
    try {
      const url = server.url().replace("postgres@", "reader@");
      const findings = await look({}, url);
      expect(findings.find(({ code }) => code === "postgres.no-replication")?.fix).toBe(
        'Run: GRANT rds_replication TO "reader";',
      );
      await db.run('GRANT rds_replication TO "reader"');
      expect(codes(await look({}, url))).not.toContain("error no-replication");
    } finally {
      await db.run("DROP OWNED BY reader", "DROP ROLE reader", "DROP ROLE rds_replication");
    }
  });

  it("finds wal_level", async () => {
    await change("wal_level", "replica");
    const findings = await look();
    expect(codes(findings)).toEqual(["ok server", "error wal-level", ...healthy.slice(1)]);
    expect(await mended(findings)).toEqual(healthy);
  });

  it("finds that no slot is free, unless ours is there", async () => {
    await change("max_replication_slots", "1");
    await db.run("SELECT pg_create_physical_replication_slot('theirs')");
    const findings = await look();
    expect(codes(findings)).toEqual(["ok server", "error no-free-slot", ...healthy.slice(1)]);
    await db.run(
      "SELECT pg_drop_replication_slot('theirs')",
      "SELECT pg_create_logical_replication_slot('sluice_shop', 'pgoutput')",
    );
    expect(codes(await look())).toEqual(healthy);
    await db.run(
      "SELECT pg_drop_replication_slot('sluice_shop')",
      "SELECT pg_create_physical_replication_slot('theirs')",
    );
    expect(await mended(findings)).toEqual(healthy);
  });

  it("finds that no WAL sender is free", async () => {
    await change("max_wal_senders", "1");
    const other = new Client({ connectionString: server.url(), replication: "database" } as never);
    other.on("error", () => {}); // The restart ends it.
    await other.connect();
    const findings = await look();
    expect(codes(findings)).toEqual(["ok server", "error no-free-sender", ...healthy.slice(1)]);
    expect(await mended(findings)).toEqual(healthy);
  });

  it("is content while the source streams, whether or not another sender is free", async () => {
    await change("max_wal_senders", "1");
    await db.run(
      "CREATE PUBLICATION sluice_shop FOR TABLE a",
      "SELECT pg_create_logical_replication_slot('sluice_shop', 'pgoutput')",
    );
    const signal = new AbortController().signal;
    const replication = await openReplication({ url: server.url() }, { name: "shop", signal });
    const stream = await replication.start({
      slot: "sluice_shop",
      from: 0n,
      publication: "sluice_shop",
      confirmed: () => 0n,
      signal,
    });
    const findings = await look();
    expect(codes(findings)).toEqual(healthy);
    expect(findings.at(-1)?.message).toContain(`process ${replication.pid}`);
    await stream.close();
  });

  it("advises a limit for the log, and against idle time-outs", async () => {
    await db.run("ALTER SYSTEM SET max_slot_wal_keep_size = -1");
    if (version >= 18) await db.run("ALTER SYSTEM SET idle_replication_slot_timeout = '1h'");
    await db.run("SELECT pg_reload_conf()");
    const expected = version >= 18 ? [advice, "warning idle-slot-timeout"] : [advice];
    await expect
      .poll(async () => codes(await look()))
      .toEqual(["ok server", ...expected, ...healthy.slice(1)]);
    const findings = await look();
    if (version >= 18) expect(findings[2]?.message).toContain("3600 s");
    await db.run(...remedies(findings));
    await expect.poll(async () => codes(await look())).toEqual(healthy);
  });

  it("knows what failover slots need", async () => {
    if (version < 17) {
      expect(codes(await look({ failover: true }))).toContain("error failover-too-old");
      return;
    }
    const findings = await look({ failover: true });
    expect(codes(findings)).toEqual(["ok server", "warning failover-ahead", ...healthy.slice(1)]);
    await db.run("SELECT pg_create_physical_replication_slot('standby1')", ...remedies(findings));
    await db.run("SELECT pg_create_logical_replication_slot('sluice_shop', 'pgoutput')");
    const plain = await look({ failover: true });
    expect(codes(plain)).toEqual([...healthy, "warning slot-no-failover"]);
    const replication = new Client({
      connectionString: server.url(),
      replication: "database",
    } as never);
    await replication.connect();
    await replication.query(remedies(plain)[0] ?? "");
    await replication.end();
    expect(codes(await look({ failover: true }))).toEqual(healthy);
  });

  it("says that the slot by which tables were read is gone", async () => {
    const place = fakes.state();
    await place.state.each([
      { key: "slot", value: "sluice_shop" },
      { key: "epoch", value: 1 },
    ]);
    const about = async (more = {}) => (await look(more, server.url(), place)).at(-1);
    expect(await about()).toMatchObject({ severity: "ok", code: "postgres.slot" }); // nothing read yet
    await place.state.each([{ key: "copied/public.a", value: true }]);
    expect(await about()).toEqual({
      severity: "error",
      code: "postgres.slot-gone",
      message:
        'postgres: slot "sluice_shop", by which the source reads, is gone, and with it the changes since.',
      fix: 'Set "onGap": "resnapshot" to have the tables read again at the next start.',
    });
    expect(await about({ snapshot: "when-needed" })).toMatchObject({ severity: "ok" });
    expect(await about({ slot: "another" })).toMatchObject({ code: "postgres.slot-renamed" });
  });

  it("tells the states of a slot", async () => {
    const missing = await look({ setup: false });
    expect(codes(missing)).toEqual([
      "ok server",
      "ok tables",
      "error publication-missing",
      "error slot-missing",
    ]);
    await db.run(...remedies(missing));
    expect(codes(await look({ setup: false }))).toEqual(healthy);

    await db.run(
      "SELECT pg_drop_replication_slot('sluice_shop')",
      "SELECT pg_create_physical_replication_slot('sluice_shop')",
    );
    expect(codes(await look())).toEqual([...healthy.slice(0, 3), "error slot-foreign"]);
    await db.run("SELECT pg_drop_replication_slot('sluice_shop')");

    const replication = new Client({
      connectionString: server.url(),
      replication: "database",
    } as never);
    await replication.connect();
    await replication.query("CREATE_REPLICATION_SLOT sluice_shop TEMPORARY LOGICAL pgoutput");
    expect(codes(await look())).toEqual([...healthy.slice(0, 3), "error slot-foreign"]);
    await replication.end();
    await expect.poll(() => db.run("SELECT FROM pg_replication_slots")).toEqual([]);
  });

  it("finds a slot that is about to be lost, and one that is", async () => {
    await db.run(
      "SELECT pg_create_logical_replication_slot('sluice_shop', 'pgoutput')",
      "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'",
      "SELECT pg_reload_conf()",
    );
    for (let segment = 0; segment < 6; segment++)
      await db.run("SELECT pg_logical_emit_message(false, 'fill', 'x')", "SELECT pg_switch_wal()");
    await expect
      .poll(async () => codes(await look()))
      .toEqual([...healthy, "warning slot-unreserved"]);
    await db.run("CHECKPOINT");
    const findings = await look();
    expect(codes(findings)).toEqual([...healthy.slice(0, 3), "error slot-lost"]);
    expect(findings.at(-1)?.message).toContain("max_slot_wal_keep_size");
    expect(await mended(findings)).toEqual(healthy);
  });

  it("refuses a standby", async () => {
    await reconnected(async () => {
      await server.shutdown();
      const signal = join(server.dir, "standby.signal");
      await writeFile(signal, "");
      const { uid, gid } = await stat(server.dir);
      await chown(signal, uid, gid);
      await server.restart();
    });
    expect(codes(await look())).toEqual(["error standby"]);
    await db.run("SELECT pg_promote()");
    expect(existsSync(join(server.dir, "standby.signal"))).toBe(false);
    expect(codes(await look())).toEqual(healthy);
  });

  it("finds a transaction pooler, and not a proxy that only hides the server", async () => {
    for (const [kind, expected] of [
      ["transaction", ["ok server", "error pooler", ...healthy.slice(1)]],
      ["proxy", healthy],
    ] as const) {
      const { port, stop } = await startPooler(kind, {
        port: server.port,
        user: "postgres",
        database: "postgres",
      });
      try {
        expect(codes(await look({}, server.url().replace(`${server.port}`, `${port}`)))).toEqual(
          expected,
        );
      } finally {
        stop();
      }
    }
  });

  it("says why nobody answers, as a finding", async () => {
    const url = server.url();
    await db.close();
    await server.kill();
    const findings = await look({}, url);
    expect(findings).toMatchObject([{ severity: "error", code: "postgres.unreachable" }]);
    await server.restart();
    db = await openDatabase(server.url());
    expect(codes(await look({}, server.url("nope")))).toEqual(["error no-database"]);
  });
});
