import { expect, it } from "vitest";
import { kthGreatest } from "./kth.ts";

it("finds the k-th greatest of the selected values, whatever their order", () => {
  for (let round = 0; round < 300; round++) {
    const size = Math.floor(Math.random() * 40);
    const values = Float64Array.from({ length: size }, () => Math.floor(Math.random() * 20));
    const selected = Uint8Array.from({ length: size }, () => Number(Math.random() > 0.4));
    const k = 1 + Math.floor(Math.random() * 12);
    const sorted = [...values].filter((_, at) => selected[at] === 1).toSorted((a, b) => b - a);
    expect(kthGreatest(values, k, selected)).toBe(sorted[k - 1] ?? -Infinity);
    const all = [...values].toSorted((a, b) => b - a);
    expect(kthGreatest(values, k, undefined)).toBe(all[k - 1] ?? -Infinity);
  }
});
