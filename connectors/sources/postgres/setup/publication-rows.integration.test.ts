import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres, type PostgresServer } from "../../../../test/postgres-server.ts";
import { stopAtErrors } from "./findings.ts";
import { openDatabase, optionsOf, silent, type Database } from "./harness.ts";
import { rowsOf } from "./identifier.ts";
import { namesOf } from "./names.ts";
import { comparePublication, ensurePublication } from "./publication.ts";
import { capturedTables, type Table } from "./tables.ts";

const names = namesOf({ publication: "pub" }, { name: "shop", project: "sluice" });

const published = [
  ["root"],
  ["root WHERE (id > 4)"],
  ["middle"],
  ["middle WHERE (id > 4)", "leaf3"],
  ["leaf1", "leaf2", "leaf3"],
  ["leaf1 WHERE (id > 1)"],
  ["root WHERE (id > 4)", "leaf1"],
  ["root", "leaf1 WHERE (id > 1)"],
  ["leaf1 WHERE (id > 4)", "leaf2 WHERE (id > 4)", "leaf3 WHERE (id > 4)"],
];
const configured = [
  ["root"],
  ["middle"],
  ["leaf1"],
  ["leaf1", "leaf3"],
  [{ name: "root", where: "id > 4" }],
  ["*"],
];

describe.each([15, 18] as const)("what a publication of PostgreSQL %i carries", (version) => {
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

  /** The tables as they are captured; undefined where the configuration is refused. */
  async function capture(
    tables: readonly unknown[],
    setup: boolean,
  ): Promise<readonly Table[] | undefined> {
    const found = await capturedTables(db.session, optionsOf(db.url, tables));
    const compared = await comparePublication(db.session, { setup }, names, found.tables);
    try {
      stopAtErrors([...found.findings, ...compared.findings]);
    } catch {
      return undefined;
    }
    if (!setup) return compared.tables;
    const run = { log: silent, verify: async () => [] };
    return (await ensurePublication(db.session, names, found.tables, run)).tables;
  }

  /** The relations of the rows that are streamed of twelve inserts over all partitions. */
  async function streamed(): Promise<readonly number[]> {
    await db.run(
      "SELECT pg_create_logical_replication_slot('rows', 'pgoutput')",
      "INSERT INTO root SELECT n, 'x' FROM generate_series(0, 11) n",
    );
    const changes = await db.run(
      "SELECT data FROM pg_logical_slot_get_binary_changes('rows', NULL, NULL, 'proto_version', '1', 'publication_names', 'pub')",
    );
    await db.run("SELECT pg_drop_replication_slot('rows')");
    const insert = "I".charCodeAt(0);
    return changes.flatMap(({ data }) =>
      data instanceof Buffer && data[0] === insert ? [data.readUInt32BE(1)] : [],
    );
  }

  it.each(published)("is what the copy reads, if %s %s %s is accepted", async (...members) => {
    let accepted = 0;
    for (const viaRoot of [true, false])
      for (const tables of configured)
        for (const setup of [true, false]) {
          // PostgreSQL filters a partitioned table by its root only.
          if (!viaRoot && members.some((member) => /^(root|middle) WHERE/.test(member))) continue;
          await db.run(
            "DROP SCHEMA public CASCADE",
            "CREATE SCHEMA public",
            "DROP PUBLICATION IF EXISTS pub",
            "CREATE TABLE root (id int PRIMARY KEY, x text) PARTITION BY RANGE (id)",
            "CREATE TABLE middle PARTITION OF root FOR VALUES FROM (0) TO (8) PARTITION BY RANGE (id)",
            "CREATE TABLE leaf1 PARTITION OF middle FOR VALUES FROM (0) TO (4)",
            "CREATE TABLE leaf2 (x text, id int NOT NULL PRIMARY KEY)",
            "ALTER TABLE middle ATTACH PARTITION leaf2 FOR VALUES FROM (4) TO (8)",
            "CREATE TABLE leaf3 PARTITION OF root FOR VALUES FROM (8) TO (12)",
            `CREATE PUBLICATION pub FOR TABLE ${members.join(", ")} WITH (publish_via_partition_root = ${viaRoot})`,
          );
          const captured = await capture(tables, setup);
          if (!captured) continue;
          accepted += 1;
          const rows = await streamed();
          for (const table of captured) {
            const oids = new Set([table, ...table.partitions].map(({ oid }) => oid));
            const [copied] = await db.run(
              `SELECT count(*)::int AS n FROM ${rowsOf(table)} WHERE ${table.where ?? "true"}`,
            );
            const where = JSON.stringify({ viaRoot, tables, setup, table: table.name });
            expect(rows.filter((oid) => oids.has(oid)).length, where).toBe(copied?.["n"]);
          }
        }
    expect(accepted).toBeGreaterThan(1);
  });
});
