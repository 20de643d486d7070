import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { adaptiveSlots, openBudgets } from "./pace.ts";

const { signal } = new AbortController();
setMaxListeners(0, signal);

/** Works that run until they are ended, and how many do. */
function works(slots: ReturnType<typeof adaptiveSlots>) {
  const ends: (() => void)[] = [];
  return {
    add: () => void slots.run(() => new Promise<void>((resolve) => ends.push(resolve))),
    running: () => ends.length,
    endAll: async () => {
      for (const end of ends.splice(0)) end();
      await sleep(0);
    },
  };
}

it("slots are halved once for all works of a moment, and grow again with time", async () => {
  const slots = adaptiveSlots({ start: 4, max: 6, growEveryMs: 100 });
  const { add, running, endAll } = works(slots);
  for (let n = 0; n < 20; n++) add();
  await sleep(0);
  expect(running()).toBe(4);
  const began = performance.now();
  await sleep(2);
  slots.slow(began);
  slots.slow(began);
  slots.slow(began);
  expect(slots.limit()).toBe(2);
  await endAll();
  expect(running()).toBe(2);
  await sleep(2);
  slots.slow(performance.now());
  slots.slow(performance.now() + 1);
  expect(slots.limit()).toBe(1);
  await endAll();
  expect(running()).toBe(1);
  for (const limit of [2, 4, 6, 6]) {
    await expect
      .poll(
        () => {
          add();
          return slots.limit();
        },
        { interval: 20, timeout: 2_000 },
      )
      .toBeGreaterThanOrEqual(limit);
    expect(slots.limit()).toBeLessThanOrEqual(6);
  }
});

it("a failing work frees its slot", async () => {
  const slots = adaptiveSlots({ start: 1, max: 1, growEveryMs: 1_000 });
  await expect(slots.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  await expect(slots.run(async () => "yes")).resolves.toBe("yes");
});

it("a budget lets through what it allows a second, one name not minding the other", async () => {
  const budgets = openBudgets();
  const spend = (name: string) => budgets.spend([{ name, amount: 1, perSecond: 100 }], signal);
  const began = performance.now();
  await Promise.all(Array.from({ length: 50 }, () => spend("a")));
  const took = performance.now() - began;
  // 50 at 100 a second, of which what 100 ms allow may go ahead.
  expect(took).toBeGreaterThan(350);
  expect(took).toBeLessThan(1_000);
  const other = performance.now();
  await spend("b");
  expect(performance.now() - other).toBeLessThan(50);
});

it("a pause holds a budget back, and an abort ends the waiting", async () => {
  const budgets = openBudgets();
  const costs = [{ name: "a", amount: 1, perSecond: 1_000 }];
  budgets.pause(costs, 200);
  const began = performance.now();
  await budgets.spend(costs, signal);
  expect(performance.now() - began).toBeGreaterThan(190);
  budgets.pause(costs, 60_000);
  const stop = new AbortController();
  const waiting = budgets.spend(costs, stop.signal);
  stop.abort(new Error("stopped"));
  await expect(waiting).rejects.toThrow();
});
