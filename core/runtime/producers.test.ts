import { describe, expect, it } from "vitest";
import { routesAmong, type Producer } from "./producers.ts";

const source = (name: string, topic: string, snapshots = true): Producer => ({
  kind: "source",
  name,
  topic,
  snapshots,
});
const transform = (name: string, from: readonly string[], topic: string): Producer => ({
  kind: "transform",
  name,
  from,
  topic,
});

describe("the routes to a late subscription", () => {
  it("are one where a source publishes to its topic itself", () => {
    expect(routesAmong([source("a", "t")], "a", "s")).toEqual([{ source: "a", audience: "s" }]);
  });

  it("lead from every source through every transform between", () => {
    const all = [
      source("a", "raw"),
      source("b", "raw"),
      source("c", "more"),
      transform("parse", ["raw"], "parsed"),
      transform("chunk", ["parsed", "more"], "chunked"),
    ];
    expect(routesAmong(all, "chunk", "s")).toEqual([
      { source: "c", audience: "chunk/s" },
      { source: "a", audience: "parse/chunk/s" },
      { source: "b", audience: "parse/chunk/s" },
    ]);
  });

  it("are none where one of the sources takes no snapshots, or none is known", () => {
    const all = [source("a", "raw"), source("b", "raw", false), transform("t", ["raw"], "out")];
    expect(routesAmong(all, "t", "s")).toBeUndefined();
    expect(routesAmong(all, "b", "s")).toBeUndefined();
    expect(routesAmong([transform("t", ["raw"], "out")], "t", "s")).toBeUndefined();
    expect(routesAmong(all, "unknown", "s")).toBeUndefined();
  });

  it("end where topics lead round", () => {
    const all = [source("a", "x"), transform("t", ["x", "z"], "y"), transform("u", ["y"], "z")];
    expect(routesAmong(all, "t", "s")).toEqual([{ source: "a", audience: "t/s" }]);
  });
});
