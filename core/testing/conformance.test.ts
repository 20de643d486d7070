import assert from "node:assert/strict";
import { it } from "vitest";
import { word } from "./conformance.ts";

it("a word is part of no other", () => {
  const words = Array.from({ length: 1_300 }, word);
  const all = words.join("\n");
  assert.deepEqual(
    words.filter((one) => all.split(one).length !== 2),
    [],
  );
});
