import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openDatabase } from "./database.ts";

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
        "INSERT INTO state VALUES ('p', 'c', ?, ?, 1, NULL)",
        Buffer.from(`k${n}`),
        "x".repeat(10_000),
      );
  });
  database.close();
  expect(statSync(join(dir, "sluice.db")).size).toBeGreaterThan(1_000_000);
});
