import { expect, it } from "vitest";
import { fakes } from "../testing/index.ts";
import { addresseeOf, passedOn } from "./audience.ts";

it("an audience is handed on, connector by connector, until the last has it for everybody behind", () => {
  const event = fakes.record("a", {});
  const far = { ...event, audience: "parse/chunk/search" };
  expect(addresseeOf(far)).toBe("parse");
  expect(passedOn(far)).toEqual({ ...event, audience: "chunk/search" });
  expect(addresseeOf({ ...event, audience: "search" })).toBe("search");
  expect(passedOn({ ...event, audience: "search" })).toEqual(event);
});

it("an event for everybody stays as it is", () => {
  const event = fakes.record("a", {});
  expect(addresseeOf(event)).toBeUndefined();
  expect(passedOn(event)).toBe(event);
});
