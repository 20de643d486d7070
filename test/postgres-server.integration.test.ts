import { existsSync } from "node:fs";
import { Client, type QueryResultRow } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "./postgres-server.ts";

/** The rows of one statement, on a connection of its own. */
async function rows(url: string, sql: string): Promise<readonly QueryResultRow[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query<QueryResultRow>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe.each([15, 18] as const)("PostgreSQL %i", (version) => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres({ version, settings: { max_wal_senders: "7" } });
  });
  afterAll(async () => {
    await server.stop();
    await server.stop();
    expect(existsSync(server.dir)).toBe(false);
  });

  it("is of that version, logical, with the settings asked for", async () => {
    const [settings] = await rows(
      server.url(),
      "SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('wal_level') AS level, current_setting('max_wal_senders') AS senders, current_user AS user",
    );
    expect(settings).toEqual({ version, level: "logical", senders: "7", user: "postgres" });
  });

  it("keeps what was committed when it is killed, and what ALTER SYSTEM set", async () => {
    await rows(server.url(), "CREATE TABLE survivors (id int)");
    await rows(server.url(), "ALTER SYSTEM SET max_wal_senders = 9");
    await rows(server.url(), "SELECT pg_create_logical_replication_slot('kept', 'pgoutput')");
    await rows(server.url(), "INSERT INTO survivors SELECT generate_series(1, 1000)");
    await server.kill();
    await expect(rows(server.url(), "SELECT 1")).rejects.toThrow("ECONNREFUSED");
    await server.restart();
    expect(await rows(server.url(), "SELECT count(*)::int AS n FROM survivors")).toEqual([
      { n: 1000 },
    ]);
    expect(await rows(server.url(), "SELECT slot_name FROM pg_replication_slots")).toEqual([
      { slot_name: "kept" },
    ]);
    expect(await rows(server.url(), "SHOW max_wal_senders")).toEqual([{ max_wal_senders: "9" }]);
  });

  it("shuts down as an administrator does: its clients hear 57P01", async () => {
    const client = new Client(server.url());
    await client.connect();
    const heard: unknown[] = [];
    client.on("error", (error) => heard.push(error));
    await server.shutdown();
    await expect.poll(() => heard[0]).toMatchObject({ code: "57P01" });
    await server.restart();
  });

  it("makes databases, and drops them with their connections and slots", async () => {
    const { name, url, drop } = await server.createDatabase('a "b" 🎉');
    const client = new Client(url);
    client.on("error", () => {}); // the drop ends it
    await client.connect();
    await client.query("SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')");
    expect((await client.query("SELECT current_database() AS name")).rows).toEqual([{ name }]);
    await drop();
    await drop();
    expect(
      await rows(server.url(), "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'theirs'"),
    ).toEqual([]);
    expect((await server.createDatabase()).url).not.toBe((await server.createDatabase()).url);
  });

  it("starts several at once", async () => {
    const servers = await Promise.all([1, 2, 3].map(() => startPostgres({ version })));
    try {
      expect(new Set(servers.map(({ port }) => port)).size).toBe(3);
      for (const { url } of servers) expect(await rows(url(), "SELECT 1 AS n")).toEqual([{ n: 1 }]);
    } finally {
      await Promise.all(servers.map(({ stop }) => stop()));
    }
  });
});
