import assert from "node:assert/strict";
import { expect, it } from "vitest";
import { PoisonError } from "sluice";
import { defaultRules, toStored } from "./metadata.ts";

const ours = { _doc: "s:d", _src: "s", _subject: "d", _m: "0123456789abcdef" };
const maxBytes = 40_960;
const time = "2026-01-01T00:00:00.000Z";
const place = { maxBytes, version: "1", time, rules: defaultRules };

it("nested objects become dotted keys; null, foreign and reserved ones are dropped and counted", () => {
  const { metadata, dropped } = toStored(
    {
      ours,
      text: "hello",
      fields: {
        author: { name: "Ann", tags: ["a", 1, true], none: null },
        _v: "theirs",
        _t: "theirs",
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
  expect(dropped).toBe(7);
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
    const bytes = Buffer.byteLength(
      JSON.stringify({ ...trimmed.metadata, _v: "0".repeat(900), _t: time }),
    );
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

it("in strict mode is stored to the last byte, and refused with the first one too many", () => {
  const strict = { ...place, version: "v".repeat(33), rules: { ...defaultRules, strict: true } };
  const of = (fill: string) =>
    toStored({ ours, text: "é", fields: { fill, nested: { deep: true } } }, strict);
  const bytes = (metadata: object) =>
    Buffer.byteLength(
      JSON.stringify({ ...metadata, _h: "0123456789abcdef", _v: strict.version, _t: time }),
    );
  const room = maxBytes - bytes(of("").metadata);
  const { metadata, dropped } = of("x".repeat(room));
  expect(bytes(metadata)).toBe(40_960);
  expect(dropped).toBe(0);
  expect(() => of("x".repeat(room + 1))).toThrow("takes 40961 bytes, more than 40960");
  expect(() => toStored({ ours, text: "t", fields: { a: null } }, strict)).toThrow(
    'the metadata field "a"',
  );
});

it("drops the fields it is told to first, in their order, and no more than it must", () => {
  const rules = { ...defaultRules, dropFirst: ["html", "absent", "raw", "kept"] };
  const fields = {
    raw: "r".repeat(20_000),
    html: "h".repeat(20_000),
    kept: "k".repeat(10_000),
    big: "b".repeat(15_000),
  };
  const { metadata, dropped } = toStored({ ours, text: "hello", fields }, { ...place, rules });
  expect(Object.keys(metadata)).toEqual(expect.arrayContaining(["kept", "big"]));
  expect(metadata).not.toHaveProperty("html");
  expect(metadata).not.toHaveProperty("raw");
  expect(metadata["text"]).toBe("hello");
  expect(dropped).toBe(2);
});

it("leaves the text out where it is not wanted", () => {
  const rules = { ...defaultRules, text: false };
  const long = toStored({ ours, text: "x".repeat(50_000), fields: { a: 1 } }, { ...place, rules });
  expect(long.metadata).toEqual({ ...ours, a: 1 });
  expect(long.dropped).toBe(0);
});
