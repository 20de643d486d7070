import { describe, expect, it } from "vitest";
import { cleared, deleted, upserted, type SluiceEvent } from "../event.ts";
import { version } from "../version.ts";
import { coalesce } from "./coalesce.ts";

const at = (position: number) =>
  version({ epoch: 1, position: BigInt(position), rank: 0, tail: 0 });
const common = { source: "/t", key: "k", time: "2026-01-01T00:00:00Z", meta: {} };
const put = (subject: string, position: number, text = "") =>
  upserted({ ...common, subject, version: at(position), op: "update", after: { text } });
const gone = (subject: string, position: number) =>
  deleted({ ...common, subject, version: at(position) });
const clear = (position: number) => cleared({ ...common, below: at(position), reason: "sweep" });
const ids = (groups: readonly (readonly SluiceEvent[])[]) =>
  groups.map((group) => group.map(({ id }) => id));

describe("coalesce", () => {
  it("keeps the newest event of each record", () => {
    const events = [put("a", 1), put("b", 2), put("a", 3), gone("b", 4)];
    expect(coalesce(events)).toEqual([[events[2], events[3]]]);
  });

  it("drops an older version that arrives later", () => {
    const newest = put("a", 5);
    expect(coalesce([newest, put("a", 4)])).toEqual([[newest]]);
  });

  it("takes the later arrival of equal versions", () => {
    const later = put("a", 5, "later");
    expect(coalesce([put("a", 5, "earlier"), later])).toEqual([[later]]);
  });

  it("never merges across a clear, which comes alone", () => {
    const events = [put("a", 1), clear(2), put("a", 3)];
    expect(coalesce(events)).toEqual(events.map((event) => [event]));
  });

  it("tells records of two sources apart", () => {
    const other = { ...put("a", 1), source: "/other" };
    expect(ids(coalesce([put("a", 1), other]))).toEqual([[put("a", 1).id, other.id]]);
  });

  it("keeps the newest for each audience where they are passed on", () => {
    const [all, one] = [put("a", 1), { ...put("a", 2), audience: "late" }];
    expect(coalesce([all, one])).toEqual([[one]]);
    const newest = put("a", 3);
    expect(coalesce([all, one, newest], { perAudience: true })).toEqual([[one, newest]]);
  });

  it("leaves messages as they are", () => {
    const message = {
      specversion: "1.0",
      id: "1",
      source: "/q",
      type: "dev.sluice.question.asked",
    };
    expect(coalesce([message, message])).toEqual([[message, message]]);
  });
});
