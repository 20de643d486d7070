import { expect, it } from "vitest";
import { normOf } from "../row.ts";
import { openArena } from "./arena.ts";
import { openCodes } from "./codes.ts";

const rowOf = (values: Float32Array) => ({ embedding: values.buffer, norm: normOf(values) });

for (const [dimension, rows] of [
  [1, 20_000],
  [17, 3_000],
  [384, 1_500],
  [20_000, 30],
] as const)
  it(`bounds the key of every vector of ${dimension} dimensions, closely`, () => {
    const codes = openCodes(openArena(2 ** 26), dimension, "dotproduct");
    const make = () => Float32Array.from({ length: dimension }, () => Math.random() - 0.5);
    const vectors = Array.from({ length: rows }, make);
    for (const [slot, vector] of vectors.entries()) codes.set(slot, rowOf(vector));
    const query = make();
    const [low, high] = [new Float64Array(rows), new Float64Array(rows)];
    codes.bounds(query, rows, low, high);
    for (const [slot, vector] of vectors.entries()) {
      const dot = vector.reduce((sum, value, at) => sum + value * (query[at] ?? 0), 0);
      expect(low[slot]).toBeLessThanOrEqual(dot);
      expect(high[slot]).toBeGreaterThanOrEqual(dot);
      // Wider bounds would find the same, but read more rows for it.
      const width = (high[slot] ?? 0) - (low[slot] ?? 0);
      expect(width / (normOf(query) * normOf(vector))).toBeLessThan(dimension < 1_000 ? 0.03 : 0.3);
    }
  });

it("gives its blocks back, and says when there are none left", () => {
  const arena = openArena(2 ** 20); // four blocks
  const one = openCodes(arena, 16, "cosine");
  const vector = Float32Array.from({ length: 16 }, () => 1);
  for (let slot = 0; slot < 40_000; slot++) one.set(slot, rowOf(vector));
  expect(arena.used()).toBe(3 * 2 ** 18);
  one.cut(10);
  expect(arena.used()).toBe(2 ** 18);
  const two = openCodes(arena, 16, "cosine");
  for (let slot = 0; slot < 80_000 && !two.full(); slot++) two.set(slot, rowOf(vector));
  expect(two.full()).toBe(true);
  expect(arena.used()).toBe(2 ** 18);
  one.free();
  expect(arena.used()).toBe(0);
});
