import assert from "node:assert/strict";
import type { PoisonError } from "../errors.ts";
import type { Embedder } from "../vectors.ts";

/** Cosine above which two vectors of one text are the same: servers round. */
const same = 0.9999;
/** How far from 1 the length of a vector may be that its fingerprint calls normalised. */
const unit = 0.01;
const isNormalised = /\/normali[sz]ed$/;

export const inputs = ["passage", "query"] as const;

/** What an embedder throws for a text that it can never take. */
export const isPoison = { name: "PoisonError" } satisfies Pick<PoisonError, "name">;

/** Asserts that a vector is one of this embedder's. */
export function assertFits(
  vector: Float32Array | undefined,
  { dimensions, fingerprint }: Pick<Embedder, "dimensions" | "fingerprint">,
): asserts vector {
  assert.equal(vector?.length, dimensions);
  assert.ok(vector.every(Number.isFinite), "not every value is a number");
  const length = Math.hypot(...vector);
  assert.ok(length > 0, "all values are 0");
  if (isNormalised.test(fingerprint)) assert.ok(Math.abs(length - 1) < unit, "is not normalised");
}

/** Whether two vectors are those of two texts. */
export function isOther(one: Float32Array | undefined, other: Float32Array | undefined): boolean {
  return one?.length !== other?.length || !(cosine(one, other) > same);
}

function cosine(a: Float32Array = new Float32Array(), b: Float32Array = new Float32Array()) {
  const dot = (one: Float32Array, other: Float32Array) =>
    one.reduce((sum, value, at) => sum + value * (other[at] ?? NaN), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
