import { expect, it } from "vitest";
import { openNeeds } from "./needs.ts";
import { openOrders } from "./orders.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const { signal } = new AbortController();

it("orders a table once until its run begins, and again for what happens then", async () => {
  const orders = openOrders();
  const needs = openNeeds({ known: [], orders, isThere: () => true, write: () => {}, log });
  needs.add("t", "a partition was truncated");
  expect(await orders.next(signal)).toEqual({ reason: "changed", tables: ["t"] });
  needs.look(); // the catalog was read again meanwhile: its run has not begun
  needs.add("t", "once more");
  expect(orders.isEmpty()).toBe(true);
  needs.met(["t"]); // it begins, and covers both
  needs.look();
  expect(orders.isEmpty()).toBe(true);
  needs.add("t", "while it runs");
  expect(await orders.next(signal)).toEqual({ reason: "changed", tables: ["t"] });
});

it("waits for a table that cannot be read now, and remembers one that a run has missed", async () => {
  const orders = openOrders();
  let isThere = false;
  const needs = openNeeds({ known: ["t"], orders, isThere: () => isThere, write: () => {}, log });
  needs.look();
  expect(orders.isEmpty()).toBe(true);
  isThere = true;
  needs.look();
  await orders.next(signal);
  needs.met(["t"]);
  needs.missed("t");
  needs.look();
  expect(await orders.next(signal)).toEqual({ reason: "changed", tables: ["t"] });
});
