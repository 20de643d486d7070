import { describe, expect, it } from "vitest";
import { parseVisibility, trackDelivered } from "./visibility.ts";

describe("visibility", () => {
  it("sees what is below xmin, and what is below xmax and not running", () => {
    const { sees } = parseVisibility("10:20:12,15");
    expect([9, 10, 12, 15, 16, 19, 20, 21].map(sees)).toEqual([
      true,
      true,
      false,
      false,
      true,
      true,
      false,
      false,
    ]);
  });

  it("completes 32-bit ids across a wraparound in either direction", () => {
    const wrapped = 2 ** 32;
    const { sees } = parseVisibility(`${wrapped - 2}:${wrapped + 5}:`);
    expect(sees(2 ** 32 - 3)).toBe(true);
    expect(sees(3)).toBe(true);
    expect(sees(5)).toBe(false);
    const before = parseVisibility(`${3 * wrapped - 10}:${3 * wrapped - 5}:`);
    expect(before.sees(2 ** 32 - 6)).toBe(true);
    expect(before.sees(2)).toBe(false);
  });
});

describe("delivered transactions", () => {
  it("misses only those delivered before the mark and not seen yet", () => {
    const delivered = trackDelivered();
    delivered.add(12);
    const mark = delivered.mark();
    delivered.add(15);
    expect(delivered.isMissing(parseVisibility("11:20:12"), mark)).toBe(true);
    expect(delivered.isMissing(parseVisibility("13:20:15"), mark)).toBe(false);
  });

  it("forgets what a snapshot sees, however long an older transaction runs", () => {
    const delivered = trackDelivered();
    for (const xid of [1, 2, 3, 40]) delivered.add(xid);
    delivered.isMissing(parseVisibility("1:50:1,40"), 0);
    expect(delivered.size()).toBe(2);
  });
});
