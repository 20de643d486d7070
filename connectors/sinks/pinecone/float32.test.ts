import { randomFillSync } from "node:crypto";
import { expect, it } from "vitest";
import { maxFloatBytes, writeFloats } from "./float32.ts";

const digitsOf = (value: number) =>
  value.toExponential().split("e")[0]?.replaceAll(/[-.]/g, "").length ?? 0;

function written(values: Float32Array): string {
  const into = Buffer.alloc(values.length * maxFloatBytes);
  const end = writeFloats(values, into, 0);
  return into.toString("latin1", 0, end);
}

it("keeps every float32, in as few digits as a search through texts finds", () => {
  const floats = new Float32Array(30_000);
  randomFillSync(floats);
  for (let at = 0; at < 10_000; at++) floats[at] = Math.random() - 0.5;
  // As vectors are: most numbers are small.
  for (let at = 10_000; at < 20_000; at++) floats[at] = (Math.random() - 0.5) ** 3 / 4;
  const finite = floats.filter((value) => Number.isFinite(value));
  const back: number[] = JSON.parse(`[${written(finite)}]`);
  expect(back).toHaveLength(finite.length);
  for (const [at, short] of back.entries()) {
    const value = finite[at] ?? 0;
    expect(Math.fround(short)).toBe(value);
    const fewest = [1, 2, 3, 4, 5, 6, 7, 8, 9]
      .map((digits) => Number(value.toPrecision(digits)))
      .find((text) => Math.fround(text) === value);
    expect(digitsOf(short)).toBeLessThanOrEqual(digitsOf(fewest ?? value));
  }
});

it("writes short decimals as they were", () => {
  const decimals = [0, 0.1, -0.25, 1, 1e-7, 3e20, 123_456, 0.5, -1.5, 1e38, 1.5e-40];
  const stored = Float32Array.from(decimals);
  const back: number[] = JSON.parse(`[${written(stored)}]`);
  expect(back.map(Math.fround)).toEqual([...stored]);
  expect(back.slice(0, 10)).toEqual(decimals.slice(0, 10));
  expect(written(Float32Array.of(0.1, -0.25, 0, 0.001))).toBe("0.1,-0.25,0,0.001");
});

it("writes the powers of two and their neighbours", () => {
  const words = new Uint32Array(3 * 254);
  for (let exponent = 1; exponent <= 254; exponent++)
    for (const step of [-1, 0, 1]) words[(exponent - 1) * 3 + step + 1] = (exponent << 23) + step;
  const floats = new Float32Array(words.buffer);
  expect((JSON.parse(`[${written(floats)}]`) as number[]).map(Math.fround)).toEqual([...floats]);
});

it("says what no index takes", () => {
  const into = Buffer.alloc(100);
  expect(writeFloats(Float32Array.of(1, Number.NaN), into, 0)).toBe(-1);
  expect(writeFloats(Float32Array.of(-Infinity, 1), into, 0)).toBe(-1);
  expect(writeFloats(Float32Array.of(0, -0), into, 0)).toBe(-2);
});
