import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { openDatabase, type Database } from "../../state/embedded/database.ts";
import { openTaps } from "./tap.ts";

let dir: string;
let database: Database;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "sluice-tap-"));
  database = openDatabase(dir);
});
afterEach(() => vi.useRealTimers());
afterAll(() => {
  database.close();
  rmSync(dir, { recursive: true, force: true });
});

it("keeps no copy for long while somebody listens and nothing more comes", () => {
  vi.useFakeTimers();
  const taps = openTaps(database, "sluice");
  const stop = new AbortController();
  const { signal } = stop;
  const copies = () => database.rows("SELECT body FROM tapped").length;
  taps.read("answers", { signal, missed: undefined, wait: async () => {} });
  taps.copy("answers", [{ specversion: "1.0", id: "1", source: "/tap", type: "note" }]);
  vi.advanceTimersByTime(20_000);
  expect(copies()).toBe(1);
  vi.advanceTimersByTime(20_000);
  expect(copies()).toBe(0);
  stop.abort();
});
