import { describe, expect, it } from "vitest";
import { judgeSlot, type SlotFacts } from "./slot.ts";

const server = { system: "7", database: "shop", flushLsn: 500n };
const stored = { system: "7", database: "shop", lsn: 300n };
const slot: SlotFacts = {
  name: "s",
  plugin: "pgoutput",
  type: "logical",
  database: "shop",
  temporary: false,
  activePid: null,
  restartLsn: 200n,
  confirmedFlushLsn: 300n,
  walStatus: "reserved",
  safeWalBytes: null,
};

describe("the state of a slot", () => {
  const cases: readonly [
    string,
    Partial<SlotFacts> | undefined,
    typeof stored | undefined,
    string,
  ][] = [
    ["none", undefined, stored, "missing"],
    ["none at a first start", undefined, undefined, "missing"],
    ["as it should be", {}, stored, "valid"],
    [
      "behind what is stored: the confirmation was lost",
      { confirmedFlushLsn: 250n },
      stored,
      "valid",
    ],
    ["one checkpoint from being lost", { walStatus: "unreserved" }, stored, "valid"],
    ["somebody's, idle, at a first start", {}, undefined, "valid"],
    ["lost its log", { walStatus: "lost" }, stored, "lost"],
    ["invalidated", { invalidationReason: "idle_timeout" }, stored, "lost"],
    ["conflicting", { conflicting: true }, stored, "lost"],
    ["never finished", { confirmedFlushLsn: null }, stored, "lost"],
    ["being made", { confirmedFlushLsn: null, activePid: 9 }, undefined, "busy"],
    ["used", { activePid: 9 }, stored, "busy"],
    ["consumed by another", { confirmedFlushLsn: 301n }, stored, "moved"],
    [
      "consumed by another who still runs",
      { confirmedFlushLsn: 301n, activePid: 9 },
      stored,
      "moved",
    ],
    ["of a server that was restored", {}, { ...stored, lsn: 501n }, "moved"],
    ["of another server", {}, { ...stored, system: "8" }, "moved"],
    ["of another server, where it is missing", undefined, { ...stored, system: "8" }, "moved"],
    ["of another database than before", {}, { ...stored, database: "crm" }, "moved"],
    ["for another plugin", { plugin: "test_decoding" }, stored, "foreign"],
    ["physical", { type: "physical", plugin: null, database: null }, stored, "foreign"],
    ["of a database beside", { database: "crm" }, stored, "foreign"],
    ["temporary", { temporary: true }, stored, "foreign"],
  ];
  it.each(cases)("%s", (_, facts, position, state) => {
    const judged = judgeSlot(facts && { ...slot, ...facts }, position, server);
    expect(judged.state).toBe(state);
    expect(judged.reason === undefined).toBe(state === "valid");
  });
});
