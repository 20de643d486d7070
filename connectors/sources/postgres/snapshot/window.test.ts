import { expect, it } from "vitest";
import { parseVisibility } from "./visibility.ts";
import { openWindow } from "./window.ts";

const seen = parseVisibility("10:20:12");
const keys = new Set(["a", "b", "c"]);

it("rows touched by what the chunk did not see are stale, before and after it was read", () => {
  const window = openWindow();
  window.touch(12, "a");
  window.touch(11, "b");
  window.settle(seen, keys);
  window.touch(21, "c");
  expect(["a", "b", "c"].map(window.isStale)).toEqual([true, false, true]);
});

it("a truncate that the chunk did not see makes all of it stale, another none", () => {
  const before = openWindow();
  before.touchAll(11);
  before.settle(seen, keys);
  expect(before.isStale("a")).toBe(false);
  before.touchAll(22);
  expect(before.isStale("a")).toBe(true);
});

it("too many touches while it is read spoil it, instead of filling memory", () => {
  const window = openWindow();
  for (let n = 0; n <= 200_000; n++) window.touch(n, "a");
  expect(window.isSpoiled()).toBe(true);
});

it("once read it remembers touches of its own keys only", () => {
  const window = openWindow();
  window.settle(seen, keys);
  for (let n = 0; n <= 300_000; n++) window.touch(30, `other ${n}`);
  expect(window.isSpoiled()).toBe(false);
});
