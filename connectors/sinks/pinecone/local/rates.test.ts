import { expect, it } from "vitest";
import { openRates, type Cost } from "./rates.ts";
import { rates } from "./settings.ts";

const limits = rates.parse({ upsert: 3, deleteIds: 5, listOfIndex: 1 });
const cost: Cost = { operation: "upsert", index: "kb", namespace: "ns", bytes: 10, body: {} };

/** Whether each of these passes, at these milliseconds. */
function passes(times: readonly number[], cost: Cost, over = openRates()): boolean[] {
  return times.map((now) => {
    try {
      over.spend(cost, limits, now);
      return true;
    } catch {
      // A 429, whose text the admin's tests read.
      return false;
    }
  });
}

it("lets a second's worth pass at once, and what has been refilled since", () => {
  const over = openRates();
  expect(passes([0, 0, 0, 0, 300, 340, 350], cost, over)).toEqual([
    true,
    true,
    true,
    false,
    false,
    true,
    false,
  ]);
  expect(passes([2_000, 2_000, 2_000, 2_000], cost, over)).toEqual([true, true, true, false]);
});

it("keeps namespaces apart, and indexes where the limit is theirs", () => {
  const over = openRates();
  const list = { ...cost, operation: "list" };
  expect(passes([0, 0], list, over)).toEqual([true, false]);
  expect(passes([0], { ...list, namespace: "other" }, over)).toEqual([false]);
  expect(passes([0], { ...list, index: "other" }, over)).toEqual([true]);
  expect(passes([0, 0, 0, 0], cost, over)).toEqual([true, true, true, false]);
  expect(passes([0], { ...cost, namespace: "other" }, over)).toEqual([true]);
});

it("lets pass alone what is more than a second's worth, and then nothing until it is paid for", () => {
  const ids = Array.from({ length: 20 }, (_, at) => String(at));
  const remove = { ...cost, operation: "delete", body: { ids } };
  expect(passes([0, 1_000, 3_900, 4_100], remove)).toEqual([true, false, false, true]);
});
