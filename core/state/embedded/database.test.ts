import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openDatabase } from "./database.ts";
import { openStore } from "./store.ts";

const full = 2;
const normal = 1;

function opened() {
  const dir = mkdtempSync(join(tmpdir(), "sluice-database-"));
  const database = openDatabase(dir);
  onTestFinished(() => {
    database.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const syncOf = () => database.rows<[number]>("PRAGMA synchronous")[0]?.[0];
  return { database, dir, syncOf };
}

it("waits for the disk with every commit but the lazy ones (Invariant 1)", () => {
  const { database, syncOf } = opened();
  expect(syncOf()).toBe(full);
  database.write(() => {}, { lazy: true });
  expect(syncOf()).toBe(normal);
  database.write(() => {});
  expect(syncOf()).toBe(full);
});

it("leaves everything in the one file when it is closed", () => {
  const { database, dir } = opened();
  database.write(() => {
    for (let n = 0; n < 100; n++)
      database.run(
        "INSERT INTO state (project, connector, key, value, revision) VALUES ('p', 'c', ?, ?, 1)",
        Buffer.from(`k${n}`),
        "x".repeat(10_000),
      );
  });
  database.close();
  expect(statSync(join(dir, "sluice.db")).size).toBeGreaterThan(1_000_000);
});

it("opens a file of the format before, with its state and its revisions", async () => {
  const { database, dir } = opened();
  for (const sql of [
    ...["taps", "tap_counts", "tapped", "detaching", "detached", "publishers"].map(
      (table) => `DROP TABLE ${table}`,
    ),
    "DROP TABLE state",
    `CREATE TABLE state (
       project TEXT NOT NULL, connector TEXT NOT NULL, key BLOB NOT NULL,
       value TEXT NOT NULL, revision INTEGER NOT NULL, expires INTEGER,
       PRIMARY KEY (project, connector, key)
     ) WITHOUT ROWID`,
    "CREATE INDEX state_expires ON state (expires) WHERE expires IS NOT NULL",
    "INSERT INTO state VALUES ('p', 'c', CAST('b' AS BLOB), '\"old\"', 7, NULL)",
    "INSERT INTO state VALUES ('p', 'c', CAST('a' AS BLOB), '\"over\"', 1, 5)",
    "PRAGMA user_version = 2",
  ])
    database.run(sql);
  database.close();
  const again = openDatabase(dir);
  onTestFinished(again.close);
  const store = openStore(again, { project: "p", connector: "c" });
  expect(await store.get(["a", "b"])).toEqual([undefined, { key: "b", value: "old", revision: 7 }]);
  const writes = [
    { key: "b", value: "new", expect: 7 },
    { key: "a", value: "new", expect: 0 },
  ];
  expect(await store.each(writes)).toEqual([true, true]);
  expect(await store.get(["a", "b"])).toMatchObject([{ revision: 1 }, { revision: 8 }]);
});
