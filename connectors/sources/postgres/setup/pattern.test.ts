import { expect, it } from "vitest";
import { entryFor, parseEntries, toLike } from "./pattern.ts";

it("tells which tables an entry means", () => {
  const { entries } = parseEntries(["shop.*", "shop.orders_*", "a.b", '"x.y"."*"', "logs"]);
  const of = (schema: string, name: string) => entryFor(entries, { schema, name })?.options.name;
  expect(of("shop", "articles")).toBe("shop.*");
  expect(of("shop", "orders_2024")).toBe("shop.orders_*");
  expect(of("shop", "Orders_2024")).toBe("shop.*");
  expect(of("a", "b")).toBe("a.b");
  expect(of("x.y", "*")).toBe('"x.y"."*"');
  expect(of("x.y", "z")).toBeUndefined();
  expect(of("public", "logs")).toBe("logs");
  expect(of("shop", "with\nline")).toBe("shop.*");
  expect(of("shopping", "x")).toBeUndefined();
});

it("writes LIKE patterns that mean the same", () => {
  const [entry] = parseEntries(["a_b.100%*\\"]).entries;
  expect(entry && [toLike(entry.schema), toLike(entry.table)]).toEqual(["a\\_b", "100\\%%\\\\"]);
});
