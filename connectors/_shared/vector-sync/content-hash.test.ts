import { expect, it } from "vitest";
import { metadataHashOf } from "./content-hash.ts";

it("is equal for equal content, whatever the order of keys at any depth", () => {
  const one = { b: { d: [{ x: 1, y: { p: 2, q: 3 } }], c: "c" }, a: 1, "10": true, "9": false };
  const other = { "9": false, a: 1, "10": true, b: { c: "c", d: [{ y: { q: 3, p: 2 }, x: 1 }] } };
  expect(metadataHashOf(one)).toBe(metadataHashOf(other));
});

it("tells any difference, the order of lists included", () => {
  const all = [
    {},
    { a: [1, 2] },
    { a: [2, 1] },
    { a: { b: 1 } },
    { a: { b: null } },
    { a: { c: 1 } },
  ];
  expect(new Set(all.map(metadataHashOf)).size).toBe(all.length);
});
