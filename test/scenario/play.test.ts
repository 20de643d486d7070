import { describe, expect, it } from "vitest";
import type { Citation } from "../../core/event.ts";
import { isTrue } from "./play.ts";

const at = Date.now();
const there = new Map([
  ["old.md", { solution: "Apache Kafka", at }],
  ["new.md", { solution: "Apache EventMesh 2", at }],
]);

function citation(subject: string, solution: string, more: Partial<Citation> = {}): Citation {
  return {
    n: 1,
    source: "/file/documents",
    subject,
    version: "2",
    position: "2",
    time: new Date(at).toISOString(),
    chunk: "c",
    score: 1,
    passage: `The popular open source event streaming solution is ${solution}.`,
    ...more,
  };
}
const edited = citation("new.md", "Apache EventMesh 2");
const told = (...citations: readonly Citation[]) => ({ citations, asOf: { sources: [edited] } });

describe("the scenario believes an answer", () => {
  it("whose citations all are of what the origin has", () => {
    expect(isTrue(told(edited, citation("old.md", "Apache Kafka")), there)).toBe(true);
  });

  it.each([
    ["a document that is gone", citation("gone.md", "Apache Kafka")],
    ["what a document said before its edit", citation("new.md", "Apache EventMesh")],
    ["no time", citation("new.md", "Apache EventMesh 2", { time: "" })],
    ["another time", citation("old.md", "Apache Kafka", { time: "2020-01-01T00:00:00Z" })],
    ["more than the answer reflects", citation("old.md", "Apache Kafka", { version: "3" })],
    [
      "a source the answer does not speak of",
      citation("old.md", "Apache Kafka", { source: "/s3" }),
    ],
  ])("not one that cites %s, were it only in its second citation", (_name, wrong) => {
    expect(isTrue(told(edited, wrong), there)).toBe(false);
  });
});
