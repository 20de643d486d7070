import { expect, it } from "vitest";
import { childSubject, isPartOf } from "./child.ts";

it("tells the parts of a record, and theirs, from all other subjects", () => {
  const part = childSubject("people.csv", "ada");
  const partOfPart = childSubject(part, "2");
  for (const subject of [part, partOfPart]) expect(isPartOf(subject, "people.csv")).toBe(true);
  expect(isPartOf(partOfPart, part)).toBe(true);
  for (const other of ["people.csv", '["people.csv"]', '["people.csv"', '["people.csv",1]', "[]"])
    expect(isPartOf(other, "people.csv")).toBe(false);
  for (const record of ["people", "ada", partOfPart]) expect(isPartOf(part, record)).toBe(false);
});
