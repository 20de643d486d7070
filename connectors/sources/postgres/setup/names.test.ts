import { expect, it } from "vitest";
import { namesOf } from "./names.ts";

it("makes names of the connector's, as slots may be called", () => {
  expect(namesOf({}, "shop-articles")).toEqual({
    connector: "shop-articles",
    slot: "sluice_shop_articles",
    publication: "sluice_shop_articles",
    inserts: "sluice_shop_articles-inserts",
  });
  expect(namesOf({ slot: "s", publication: "Pub" }, "x")).toMatchObject({
    slot: "s",
    publication: "Pub",
    inserts: "Pub-inserts",
  });
});

it("keeps long names apart and within 63 bytes", () => {
  const long = "a".repeat(62);
  const one = namesOf({}, `${long}1`);
  const other = namesOf({}, `${long}2`);
  expect(one.slot).toMatch(/^[a-z0-9_]{63}$/);
  expect(one.slot).not.toBe(other.slot);
  const cut = namesOf({ publication: "🎉".repeat(30) }, "x");
  expect(cut.publication).toBe("🎉".repeat(15));
  expect(Buffer.byteLength(cut.inserts)).toBeLessThanOrEqual(63);
  expect(cut.inserts).toBe(`${"🎉".repeat(13)}-inserts`);
});
