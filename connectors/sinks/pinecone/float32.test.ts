import { randomFillSync } from "node:crypto";
import { expect, it } from "vitest";
import { toShortest } from "./float32.ts";

const digitsOf = (value: number) =>
  value.toExponential().split("e")[0]?.replaceAll(/[-.]/g, "").length ?? 0;

it("keeps every float32, in at most nine digits and as few as a search through texts finds", () => {
  const floats = new Float32Array(20_000);
  randomFillSync(floats);
  for (let at = 0; at < 10_000; at++) floats[at] = Math.random() - 0.5;
  const finite = floats.filter((value) => Number.isFinite(value));
  for (const [at, short] of toShortest(finite).entries()) {
    const value = finite[at] ?? 0;
    expect(Math.fround(short)).toBe(value);
    const fewest = [6, 7, 8, 9]
      .map((digits) => Number(value.toPrecision(digits)))
      .find((text) => Math.fround(text) === value);
    expect(digitsOf(short)).toBeLessThanOrEqual(digitsOf(fewest ?? value));
  }
});

it("writes short decimals as they were", () => {
  const decimals = [0, 0.1, -0.25, 1, 1e-7, 3e20, 123_456, 1e38, 1.5e-40];
  const stored = toShortest(Float32Array.from(decimals));
  expect(stored.map((value) => Math.fround(value))).toEqual(
    decimals.map((value) => Math.fround(value)),
  );
  expect(JSON.stringify(stored.slice(0, 7))).toBe(JSON.stringify(decimals.slice(0, 7)));
});
