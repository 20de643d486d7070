import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Libsql from "libsql";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stateConformance } from "../conformance.ts";
import { openDatabase, type Value } from "./database.ts";
import { openEmbeddedState } from "./index.ts";
import { openStore } from "./store.ts";

let dir: string;
beforeAll(() => void (dir = mkdtempSync(join(tmpdir(), "sluice-state-"))));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("embedded state", () => {
  for (const { name, run } of stateConformance({ open: async () => openEmbeddedState({ dir }) }))
    it(name, run);
});

describe("the file", () => {
  it("keeps everything over a restart, tokens included", async () => {
    const beganAt = Math.floor(Date.now() / 1_000);
    const first = openEmbeddedState({ dir, project: "restart" });
    const lease = await first.scope("c").leases.acquire("l", 1_000);
    await first.scope("c").state.each([{ key: "k", value: 1 }]);
    await lease?.release();
    await first.close();
    await first.close();
    const second = openEmbeddedState({ dir, project: "restart" });
    expect(await second.scope("c").state.get(["k"])).toMatchObject([{ value: 1 }]);
    const next = await second.scope("c").leases.acquire("l", 1_000);
    expect(next?.token).toBeGreaterThan(lease?.token ?? Infinity);
    // Also of a file that is made anew, or comes from a backup: versions begin with it.
    expect(lease?.token).toBeGreaterThanOrEqual(beganAt);
    await next?.release();
    await second.close();
  });

  it("keeps projects apart", async () => {
    const a = openEmbeddedState({ dir, project: "a" });
    const b = openEmbeddedState({ dir, project: "b" });
    await a.scope("c").state.each([{ key: "k", value: "a" }]);
    expect(await b.scope("c").state.get(["k"])).toEqual([undefined]);
    await a.close();
    await b.close();
  });

  it("is refused, with the fix, when a newer version wrote it", () => {
    const newer = join(dir, "newer");
    openEmbeddedState({ dir: newer });
    new Libsql(join(newer, "sluice.db")).exec("PRAGMA user_version = 99");
    expect(() => openEmbeddedState({ dir: newer })).toThrow(
      expect.objectContaining({
        code: "state.format-newer",
        fix: expect.stringContaining("newer"),
      }),
    );
  });

  it("of the first format is upgraded: each subscription gets a generation of its own", () => {
    const old = join(dir, "old");
    const database = openDatabase(old);
    const first = [
      ...["taps", "tap_counts", "tapped", "detaching", "detached", "publishers"].map(
        (table) => `DROP TABLE ${table}`,
      ),
      "DROP TABLE subscriptions",
      "INSERT INTO topics VALUES (1, 'p', 't', 2)",
      "INSERT INTO cursors VALUES (1, 0, 'a', 5, 0), (1, 1, 'a', 7, 0), (1, 0, 'b', 5, 0)",
      "PRAGMA user_version = 1",
    ];
    for (const sql of first) database.run(sql);
    database.close();
    const upgraded = openDatabase(old);
    const rows = upgraded.rows<[string, string]>("SELECT name, generation FROM subscriptions");
    expect(rows.map(([name]) => name)).toEqual(["a", "b"]);
    expect(new Set(rows.map(([, generation]) => generation)).size).toBe(2);
    expect(upgraded.rows("SELECT * FROM cursors")).toHaveLength(3);
    upgraded.close();
  });

  it("is refused when it is damaged", () => {
    const damaged = mkdtempSync(join(dir, "damaged-"));
    writeFileSync(join(damaged, "sluice.db"), "not a database ".repeat(1_000));
    expect(() => openEmbeddedState({ dir: damaged })).toThrow(
      expect.objectContaining({ code: "state.file-damaged" }),
    );
  });

  it("says so when the disk is full, and goes on when there is room", async () => {
    const database = openDatabase(join(dir, "full"));
    const { each, get } = openStore(database, { project: "sluice", connector: "c" });
    database.rows("PRAGMA max_page_count = 30");
    const large = "x".repeat(1_000_000);
    await expect(each([{ key: "k", value: large }])).rejects.toMatchObject({
      name: "RetryableError",
      code: "state.disk-full",
      reason: "unreachable",
    });
    expect(await get(["k"])).toEqual([undefined]);
    database.rows("PRAGMA max_page_count = 30000");
    expect(await each([{ key: "k", value: large }])).toEqual([true]);
    database.close();
  });

  it("says so when another process holds it", async () => {
    const held = openDatabase(join(dir, "held"));
    const waits = openDatabase(join(dir, "held"));
    waits.rows("PRAGMA busy_timeout = 50");
    held.write(() =>
      expect(() => waits.write(() => {})).toThrow(expect.objectContaining({ code: "state.busy" })),
    );
    expect(waits.write(() => "free")).toBe("free");
    held.close();
    waits.close();
  });

  it("takes nothing that would abort the process", () => {
    const database = openDatabase(join(dir, "binding"));
    const wrong = [true, { a: 1 }, undefined, 1n] as unknown as Value[];
    for (const value of wrong)
      expect(() => database.rows("SELECT ?", value)).toThrow("wrong values");
    expect(() => database.rows("SELECT ?, ?", 1)).toThrow("wrong values");
    expect(() => database.rows("SELECT ?", 1, 2)).toThrow("wrong values");
    expect(database.rows("SELECT ?", "ü")).toEqual([["ü"]]);
    database.close();
  });

  it("is refused where no directory can be made", () => {
    writeFileSync(join(dir, "a-file"), "");
    expect(() => openEmbeddedState({ dir: join(dir, "a-file") })).toThrow(
      expect.objectContaining({ name: "ConfigError", code: "state.directory-unwritable" }),
    );
  });
});
