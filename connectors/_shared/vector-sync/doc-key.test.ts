import assert from "node:assert/strict";
import { expect, it } from "vitest";
import { docKeyOf, docKeyPrefixOf } from "./doc-key.ts";
import { random } from "./harness.ts";

it("reads like the record's key where that is plain", () => {
  expect(docKeyOf("/file/notes", "a/b.md")).toBe("/file/notes:a/b.md");
  expect(docKeyOf("/postgres/shop/public.articles", '["1"]')).toBe(
    '/postgres/shop/public.articles:["1"]',
  );
});

it("is printable ASCII, at most 200 bytes, never twice the same, and begins with its source's prefix", () => {
  const next = random(3);
  const letters = [
    "a",
    "#",
    ":",
    ",",
    "%",
    "~",
    " ",
    "\n",
    "\u007f",
    "é",
    "😀",
    "%3A",
    "x".repeat(70),
  ];
  const text = () =>
    Array.from(
      { length: 1 + Math.floor(next() * 8) },
      () => letters[Math.floor(next() * letters.length)] ?? "",
    ).join("");
  const seen = new Map<string, string>();
  let shortened = 0;
  for (let round = 0; round < 20_000; round++) {
    const [source, subject] = [text(), text()];
    const docKey = docKeyOf(source, subject);
    assert.match(docKey, /^[\x21-\x7e]{1,200}$/);
    assert.ok(!docKey.includes("#"));
    assert.ok(docKey.startsWith(docKeyPrefixOf(source)));
    const pair = JSON.stringify([source, subject]);
    assert.equal(seen.get(docKey) ?? pair, pair);
    seen.set(docKey, pair);
    if (docKey.includes("~")) shortened += 1;
  }
  expect(shortened).toBeGreaterThan(500);
});

it("is cut at the border of an escape", () => {
  for (let length = 150; length < 165; length++) {
    const kept = docKeyOf("s", "x".repeat(length) + "%".repeat(40)).split("~")[0] ?? "";
    expect(kept).toMatch(/^s:x+(%25)*$/);
    expect(kept.length).toBeGreaterThan(157);
  }
});

it("is no key's that spells a shortened one", () => {
  const shortened = docKeyOf("s", "x".repeat(300));
  const spelled = shortened.slice("s:".length);
  expect(shortened).toContain("~");
  expect(docKeyOf("s", spelled)).not.toBe(shortened);
});
