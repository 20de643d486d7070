import { expect, it } from "vitest";
import type { Json } from "sluice";
import { arrayOf } from "./arrays.ts";
import { asText } from "./scalars.ts";

const texts = arrayOf(asText, ",");

it("reads nested arrays, quotes, NULL and bounds", () => {
  for (const [text, json] of [
    ["{}", []],
    ["{a}", ["a"]],
    ['{NULL,"NULL",null,""}', [null, "NULL", "null", ""]],
    ['{"a\\"b","c\\\\d","e,f","{g}"}', ['a"b', "c\\d", "e,f", "{g}"]],
    [
      "{{a,b},{c,NULL}}",
      [
        ["a", "b"],
        ["c", null],
      ],
    ],
    ["{{{{{{a}}}}}}", [[[[[["a"]]]]]]],
    ["[0:1]={a,b}", ["a", "b"]],
    ["[-2:-1][3:3]={{a},{b}}", [["a"], ["b"]]],
    ['{"new\nline"}', ["new\nline"]],
  ] satisfies [string, Json][])
    expect(texts(text), text).toEqual(json);
});

it("reads the delimiter of the element's type", () => {
  expect(arrayOf(asText, ";")("{(1,2),(3,4);(5,6),(7,8)}")).toEqual(["(1,2),(3,4)", "(5,6),(7,8)"]);
});

it("leaves text what is no array", () => {
  for (const text of [
    "",
    "a",
    "{",
    "}",
    "{a",
    '{"a',
    '{"a\\',
    "{a}}",
    "{a}b",
    "{{a}",
    "[1:2]",
    "[1:2]={a",
    "={a}",
  ])
    expect(texts(text), text).toBe(text);
});

it("reads back whatever PostgreSQL would write", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const signs = ["a", "B", " ", ",", "{", "}", '"', "\\", "\n", "é", "🎉", "NULL", "'"];
  const element = () =>
    random(5) === 0
      ? null
      : Array.from({ length: random(6) }, () => signs[random(signs.length)]).join("");
  type Nested = string | null | readonly Nested[];
  const make = (depth: number, width: number): readonly Nested[] =>
    Array.from({ length: width }, () => (depth === 1 ? element() : make(depth - 1, width)));
  const write = (value: Nested): string => {
    if (typeof value === "object" && value !== null) return `{${value.map(write).join(",")}}`;
    if (value === null) return "NULL";
    const isBare = /^[^\s,{}"\\]+$/.test(value) && value.toUpperCase() !== "NULL";
    return isBare ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
  };
  for (let i = 0; i < 2_000; i++) {
    const value = make(1 + random(4), 1 + random(3));
    expect(texts(write(value))).toEqual(value);
  }
});
