import assert from "node:assert/strict";
import { expect, it } from "vitest";
import { PoisonError } from "sluice";
import { defaultRules, toStored } from "./metadata.ts";

const ours = { _doc: "s:d", _src: "s", _subject: "d", _m: "0123456789abcdef" };
const maxBytes = 40_960;
const place = { maxBytes, version: "1", rules: defaultRules };

it("nested objects become dotted keys; null, foreign and reserved ones are dropped and counted", () => {
  const { metadata, dropped } = toStored(
    {
      ours,
      text: "hello",
      fields: {
        author: { name: "Ann", tags: ["a", 1, true], none: null },
        _v: "theirs",
        text: "theirs",
        $gt: 1,
        nan: Number.NaN,
        mixed: ["a", null, { b: 1 }],
        __proto__: undefined,
      },
    },
    place,
  );
  expect(metadata).toMatchObject({
    ...ours,
    text: "hello",
    "author.name": "Ann",
    "author.tags": ["a", "1", "true"],
    mixed: ["a"],
  });
  expect(Object.keys(metadata).toSorted()).toEqual(
    ["_doc", "_m", "_src", "_subject", "author.name", "author.tags", "mixed", "text"].toSorted(),
  );
  expect(dropped).toBe(6);
});

it("equal content has an equal hash, whatever the order of keys; any difference another", () => {
  const hashOf = (fields: object) =>
    toStored({ ours, text: "t", fields: { ...fields } }, place).metadataHash;
  expect(hashOf({ a: 1, b: { c: 2, d: 3 } })).toBe(hashOf({ b: { d: 3, c: 2 }, a: 1 }));
  const all = [{}, { a: 1 }, { a: "1" }, { a: ["1"] }, { a: ["1", "2"] }, { a: ["2", "1"] }];
  expect(new Set(all.map(hashOf)).size).toBe(all.length);
});

it("text is cut at every size without cutting a character in two, and always fits", () => {
  for (let extra = 0; extra < 40; extra++) {
    const text = 'é😀"\n'.repeat(4_000 + extra) + "x".repeat(extra);
    const at = { ...place, maxBytes: maxBytes - extra };
    const trimmed = toStored({ ours, text, fields: { tag: "kept" } }, at);
    const stored = trimmed.metadata["text"];
    assert.ok(typeof stored === "string" && stored.isWellFormed());
    expect(text.startsWith(stored)).toBe(true);
    expect(trimmed.metadata["tag"]).toBe("kept");
    expect(trimmed.dropped).toBe(1);
    const bytes = Buffer.byteLength(JSON.stringify({ ...trimmed.metadata, _v: "0".repeat(900) }));
    expect(bytes).toBeLessThanOrEqual(maxBytes - extra);
    expect(bytes).toBeGreaterThan(maxBytes - extra - 200);
    expect(toStored({ ours, text, fields: { tag: "kept" } }, at)).toEqual(trimmed);
  }
});

it("where cutting the text is not enough, the largest fields go and the text comes back", () => {
  const fields = { a: "x".repeat(30_000), b: "y".repeat(45_000), c: "small" };
  const { metadata, dropped } = toStored({ ours, text: "hello", fields }, place);
  expect(metadata).toMatchObject({ ...ours, text: "hello", a: fields.a, c: "small" });
  expect(metadata).not.toHaveProperty("b");
  expect(dropped).toBe(1);
});

it("ours alone too large is poison", () => {
  const key = "k".repeat(50_000);
  expect(() =>
    toStored({ ours: { ...ours, _subject: key }, text: "t", fields: { a: 1 } }, place),
  ).toThrow(PoisonError);
});
