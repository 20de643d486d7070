import { expect, it } from "vitest";
import { gather } from "./batch.ts";
import type { Captured } from "./captured.ts";
import { openReader } from "./reader.ts";
import { parseVisibility, trackDelivered } from "../snapshot/visibility.ts";
import { openWindow } from "../snapshot/window.ts";
import type { Table } from "../setup/tables.ts";
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

function readerOf(more: Partial<Captured> = {}) {
  const batch = gather();
  const reader = openReader({
    start,
    batch,
    captured: { ...captured, ...more },
    delivered: trackDelivered(),
    messagePrefixes: [],
    keyless: () => undefined,
  });
  return { batch, reader };
}

it("a run that stops before it is past a half-published transaction keeps what was published of it", () => {
  const { reader } = readerOf();
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

it("rows published before the restart are still news to a chunk that does not see their transaction", () => {
  const window = openWindow();
  const relation = {
    table: {} as Table, // not looked at
    source: "/postgres/d/public.t",
    columns: [{ name: "id", type: 23, typmod: -1 }],
    keyAt: [0],
    hasNullableKey: false,
    isFull: false,
    build: () => ({ after: {} }),
  };
  const known = { relation, windows: new Set([window]), isPartition: false };
  const { batch, reader } = readerOf({ relation: () => known });
  void reader.handle({ kind: "begin", commitLsn: 0x200n, xid: 7, time: 0n }, 0);
  void reader.handle({ kind: "update", relation: 1, row: ["1"] }, 0);
  void reader.handle({ kind: "delete", relation: 1, old: { kind: "key", row: ["2"] } }, 0);
  expect(batch.isEmpty()).toBe(true);
  window.settle(parseVisibility("5:9:7"), new Set(['["1"]', '["2"]', '["3"]']));
  expect(['["1"]', '["2"]', '["3"]'].map(window.isStale)).toEqual([true, true, false]);
});
