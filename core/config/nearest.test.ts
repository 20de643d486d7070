import { expect, it } from "vitest";
import { nearest } from "./nearest.ts";

const cases: [word: string, candidates: string[], found: string | undefined][] = [
  ["databse", ["database", "data"], "database"],
  ["usrl", ["url", "user"], "url"],
  ["wacth", ["watch", "match"], "watch"],
  ["ApiKey", ["apiKey"], "apiKey"],
  ["a", ["b"], "b"],
  ["whenFull", ["name", "config"], undefined],
  ["x", [], undefined],
];
for (const [word, candidates, found] of cases)
  it(`${word} → ${found ?? "nothing"}`, () => expect(nearest(word, candidates)).toBe(found));
