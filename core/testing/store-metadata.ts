import assert from "node:assert/strict";
import type { Metadata } from "../event.ts";
import type { Case } from "./conformance.ts";
import type { OpenedStore } from "./store.ts";

/** What a type of too few bits, or one for texts and lists alone, would change. */
const numbers: Metadata = {
  zero: 0,
  negative: -3,
  unsigned: 2 ** 31 + 1,
  milliseconds: 1_790_000_000_123,
  exact: 0.1,
  isLive: false,
};

/** Texts that look like something else. */
const texts: Metadata = {
  empty: "",
  blank: " ",
  padded: "  two\n\tlines \r\n",
  number: "007",
  exponent: "1e3",
  truth: "true",
  nothing: "null",
  time: "2026-11-03T10:00:00Z",
  list: '["a"]',
  quoted: "'\"`\\ %41 &amp; $1",
  composed: "\u00e9",
  decomposed: "e\u0301",
  astral: "🐈",
};

const lists: Metadata = { single: ["a"], several: ["b", "a"], numbers: ["1", "02"], blank: [""] };

/** Keys that differ little, those of nested objects, and those that vector sync writes. */
const keys: Metadata = {
  lang: "lower",
  Lang: "upper",
  "author.name": "dotted",
  "größe in cm": "letters and spaces",
  text: "A chunk.",
  _doc: "0123456789abcdef",
  _h: "0123456789abcdef",
  _m: "letters@1/8/normalised",
  _pk: "r1",
  _src: "/kit/articles",
  _subject: "a.md",
  _t: "2026-11-03T10:00:00.000Z",
  _v: "0000000000000000000000000001",
};

/** Metadata comes back as it was put, whoever asks. */
export function storeMetadataCases(opened: OpenedStore): readonly Case[] {
  const given = Object.entries({ numbers, texts, lists, keys });
  return [
    {
      name: "gives back metadata of every type, text and key as it was put, to questions too",
      run: () =>
        opened(async ({ store, to, vector, shows, soon }) => {
          const all = given.map(([id, metadata], towards) => ({
            ...vector(id, { towards }),
            metadata,
          }));
          await store.upsert(all, to);
          await shows(all);
          const { values } = vector("question");
          await soon(async () => {
            const { matches } = await store.query({ vector: values, topK: all.length }, to);
            assert.deepEqual(
              Object.fromEntries(matches.map(({ id, metadata }) => [id, metadata])),
              Object.fromEntries(given),
            );
          });
        }),
    },
  ];
}
