import { describe, expect, it } from "vitest";
import { cleared, deleted, upserted, type SluiceEvent } from "./event.ts";
import { matchesFilter, parseFilter } from "./filter.ts";
import { version } from "./version.ts";

const change = {
  source: "/file/notes",
  subject: "docs/a.md",
  key: "docs/a.md",
  version: version({ epoch: 1, position: 1n, rank: 1, tail: 0 }),
  time: "2025-01-01T00:00:00Z",
  meta: {},
};
const upsert = upserted({ ...change, op: "create", after: {} });
const remove = deleted(change);
const clear = cleared({
  source: change.source,
  below: change.version,
  reason: "sweep",
  time: change.time,
  meta: {},
});
const message: SluiceEvent = {
  specversion: "1.0",
  id: "1",
  source: "/chat",
  type: "com.example.asked",
  tenant: "blue",
};

describe("a filter takes the events its dialect names", () => {
  const cases: [string, object, SluiceEvent, boolean][] = [
    ["exact, equal", { exact: { source: "/chat" } }, message, true],
    ["exact, another", { exact: { source: "/cha" } }, message, false],
    ["exact, extension", { exact: { tenant: "blue" } }, message, true],
    ["exact, absent attribute", { exact: { subject: "x" } }, message, false],
    ["exact, two attributes, one wrong", { exact: { tenant: "blue", id: "2" } }, message, false],
    ["prefix", { prefix: { type: "com.example." } }, message, true],
    ["suffix", { suffix: { subject: ".md" } }, upsert, true],
    ["suffix, another", { suffix: { subject: ".txt" } }, upsert, false],
    ["all", { all: [{ exact: { id: "1" } }, { exact: { tenant: "red" } }] }, message, false],
    ["any", { any: [{ exact: { id: "2" } }, { exact: { tenant: "blue" } }] }, message, true],
    ["any, none", { any: [{ exact: { id: "2" } }, { exact: { tenant: "red" } }] }, message, false],
    ["not", { not: { exact: { id: "1" } } }, message, false],
    ["not, nested", { not: { not: { exact: { id: "1" } } } }, message, true],
  ];
  for (const [name, filter, event, taken] of cases)
    it(name, () => expect(matchesFilter(parseFilter(filter), event)).toBe(taken));
});

describe("a record's delete reaches whoever may hold the record", () => {
  const upsertsOnly = { exact: { type: "dev.sluice.record.upserted" } };
  const cases: [string, object, SluiceEvent, boolean][] = [
    ["type passes its upsert", upsertsOnly, upsert, true],
    ["type does not filter a delete", upsertsOnly, remove, true],
    ["type does not filter a clear", upsertsOnly, clear, true],
    ["nor does its negation", { not: upsertsOnly }, remove, true],
    ["though it filters the upsert", { not: upsertsOnly }, upsert, false],
    ["time decides nothing about a record", { prefix: { time: "1999" } }, upsert, true],
    ["subject filters a delete", { prefix: { subject: "other/" } }, remove, false],
    ["subject does not filter a clear", { prefix: { subject: "other/" } }, clear, true],
    ["nor does a negated one", { not: { prefix: { subject: "docs/" } } }, clear, true],
    ["source filters a clear", { exact: { source: "/file/other" } }, clear, false],
    ["a wrong source outweighs the type", { exact: { source: "/x", type: "y" } }, remove, false],
    ["an extension the delete lacks", { exact: { tenant: "blue" } }, remove, true],
    [
      "an extension that differs",
      { exact: { tenant: "blue" } },
      { ...remove, tenant: "red" },
      false,
    ],
    ["an extension the upsert lacks", { exact: { tenant: "blue" } }, upsert, false],
  ];
  for (const [name, filter, event, taken] of cases)
    it(name, () => expect(matchesFilter(parseFilter(filter), event)).toBe(taken));
});

describe("parseFilter refuses", () => {
  const wrong: [string, unknown][] = [
    ["two dialects in one object", { exact: { id: "1" }, prefix: { id: "1" } }],
    ["none", {}],
    ["an unknown dialect", { sql: "true" }],
    ["an empty text", { prefix: { subject: "" } }],
    ["no attribute", { exact: {} }],
    ["an attribute that is no CloudEvents name", { exact: { "Sub-ject": "a" } }],
    ["an empty list", { any: [] }],
    ["a wrong filter inside", { not: { all: [{ exact: { id: 1 } }] } }],
  ];
  for (const [name, filter] of wrong)
    it(name, () =>
      expect(() => parseFilter(filter)).toThrow(
        expect.objectContaining({ code: "filter.invalid" }),
      ),
    );
});
