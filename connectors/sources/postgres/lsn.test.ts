import { expect, it } from "vitest";
import { formatLsn, parseLsn } from "./lsn.ts";

it("reads and writes a position as PostgreSQL does", () => {
  for (const [text, lsn] of [
    ["0/0", 0n],
    ["0/1A", 26n],
    ["16/B374D848", 0x16_b374_d848n],
    ["1/0", 2n ** 32n],
    ["FFFFFFFF/FFFFFFFF", 2n ** 64n - 1n],
  ] as const) {
    expect(parseLsn(text)).toBe(lsn);
    expect(formatLsn(lsn)).toBe(text);
  }
  expect(parseLsn("0000000a/0000000b")).toBe(0xa_0000_000bn);
});

it("refuses what is no position", () => {
  for (const text of ["", "0", "0/", "/0", "1/2/3", "G/0", "0/123456789", " 0/0", "0x1/0"])
    expect(() => parseLsn(text), text).toThrow("is no log position");
});
