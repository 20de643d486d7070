import { expect, it } from "vitest";
import { gather } from "./batch.ts";
import type { Captured } from "./captured.ts";
import { openReader } from "./reader.ts";
import { trackDelivered } from "../snapshot/visibility.ts";
import type { Message } from "../wire/decode.ts";

const start = {
  system: "1",
  database: "d",
  slot: "s",
  epoch: 1,
  lsn: "0/100",
  at: { commit: "0/200", ordinal: 2 },
};
const captured: Captured = {
  stopped: () => {
    throw new Error("unused");
  },
  outdated: () => [],
  recast: async () => () => [],
  lostPartitions: () => [],
  forget: () => {
    throw new Error("unused");
  },
  relation: () => undefined,
  learn: () => undefined,
  tables: () => [],
  table: () => undefined,
  snapshotRelation: () => {
    throw new Error("unused");
  },
  refresh: async () => undefined,
  watch: () => () => undefined,
  resnapshot: () => undefined,
};

it("a run that stops before it is past a half-published transaction keeps what was published of it", () => {
  const reader = openReader({
    start,
    batch: gather(),
    captured,
    delivered: trackDelivered(),
    messagePrefixes: [],
    keyless: () => undefined,
  });
  const row: Message = { kind: "insert", relation: 1, row: [] };
  expect(reader.position()).toEqual(start);
  void reader.handle({ kind: "begin", commitLsn: 0x200n, xid: 7, time: 0n }, 0);
  expect(reader.position()).toEqual(start);
  void reader.handle(row, 0);
  expect(reader.position()).toEqual(start);
  void reader.handle(row, 0);
  void reader.handle(row, 0);
  expect(reader.position()).toEqual({ ...start, at: { commit: "0/200", ordinal: 3 } });
  void reader.handle({ kind: "commit", commitLsn: 0x200n, endLsn: 0x230n, time: 0n }, 0);
  const { at: _, ...rest } = start;
  expect(reader.position()).toEqual({ ...rest, lsn: "0/230" });
});
