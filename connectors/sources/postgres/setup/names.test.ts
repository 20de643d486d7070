import { expect, it } from "vitest";
import { namesOf } from "./names.ts";

it("makes names of the connector's, as slots may be called", () => {
  expect(namesOf({}, { name: "shop-articles", project: "sluice" })).toEqual({
    owner: "sluice/shop-articles",
    slot: "sluice_shop_articles",
    publication: "sluice_shop_articles",
    inserts: "sluice_shop_articles-inserts",
  });
  expect(
    namesOf({ slot: "s", publication: "Pub" }, { name: "x", project: "sluice" }),
  ).toMatchObject({
    slot: "s",
    publication: "Pub",
    inserts: "Pub-inserts",
  });
});

it("keeps long names apart and within 63 bytes", () => {
  const long = "a".repeat(62);
  const one = namesOf({}, { name: `${long}1`, project: "sluice" });
  const other = namesOf({}, { name: `${long}2`, project: "sluice" });
  expect(one.slot).toMatch(/^[a-z0-9_]{63}$/);
  expect(one.slot).not.toBe(other.slot);
  const cut = namesOf({ publication: "🎉".repeat(30) }, { name: "x", project: "sluice" });
  expect(cut.publication).toBe("🎉".repeat(15));
  expect(Buffer.byteLength(cut.inserts)).toBeLessThanOrEqual(63);
  expect(cut.inserts).toBe(`${"🎉".repeat(13)}-inserts`);
});

it("keeps projects apart that call a source alike on one database", () => {
  const ours = namesOf({}, { name: "articles", project: "shop" });
  const theirs = namesOf({}, { name: "articles", project: "blog" });
  expect(ours.slot).toBe("sluice_shop_articles");
  expect(theirs.slot).not.toBe(ours.slot);
  expect(theirs.owner).not.toBe(ours.owner);
});
