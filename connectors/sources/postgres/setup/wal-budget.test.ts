import type { Log } from "sluice";
import { expect, it } from "vitest";
import { walSampler, type WalBudget } from "./wal-budget.ts";

/** Samples a minute apart, and what the log says of each. */
function sampled(samples: readonly WalBudget[], everyMs = 60_000) {
  const lines: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, fields, message });
  };
  const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  let time = 0;
  const sample = walSampler("s", log, () => (time += everyMs));
  for (const one of samples) sample(one);
  return lines;
}

it("warns from half of the budget on, with the rate and the time that is left", () => {
  const lines = sampled([
    { retainedBytes: 100, safeBytes: 900_000, limitBytes: 1_000_000 },
    { retainedBytes: 60_100, safeBytes: 840_000, limitBytes: 1_000_000 },
    { retainedBytes: 400_100, safeBytes: 500_000, limitBytes: 1_000_000 },
  ]);
  expect(lines.map(({ level }) => level)).toEqual(["debug", "debug", "warn"]);
  expect(lines[0]?.fields).toEqual({
    slot: "s",
    retainedBytes: 100,
    safeBytes: 900_000,
    limitBytes: 1_000_000,
  });
  expect(lines[1]?.fields).toMatchObject({ bytesPerSecond: 1_000, etaMs: 840_000 });
});

it("hides an end that is days away, and one that moves off", () => {
  const far = sampled([
    { retainedBytes: 0, safeBytes: 10 ** 12, limitBytes: 10 ** 12 },
    { retainedBytes: 60, safeBytes: 10 ** 12 - 60, limitBytes: 10 ** 12 },
    { retainedBytes: 0, safeBytes: 10 ** 12, limitBytes: 10 ** 12 },
  ]);
  expect(far.map(({ fields }) => "etaMs" in fields)).toEqual([false, false, false]);
  expect(far[2]?.fields).toMatchObject({ bytesPerSecond: -1 });
});

it("advises a limit once where there is none", () => {
  const lines = sampled([{ retainedBytes: 1 }, { retainedBytes: 2 }]);
  expect(lines.map(({ level }) => level)).toEqual(["warn", "debug"]);
  expect(lines[0]?.message).toContain("max_slot_wal_keep_size");
});
