import { expect, it } from "vitest";
import type { Backend } from "../backend.ts";
import { defineSource } from "../connector.ts";
import { z } from "../index.ts";
import { fakes } from "../testing/index.ts";
import { statusBoard } from "./board.ts";
import { runSource } from "./source-task.ts";

it("settles in the order it was asked, however long each takes", async () => {
  const settles: (() => void)[] = [];
  const order: string[] = [];
  const source = defineSource({
    name: "confirms",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    checkpoint: z.strictObject({}),
    emits: [],
    capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
    async *read({ settled }) {
      yield { events: [], checkpoint: {} };
      const first = settled().then(() => order.push("first"));
      const second = settled().then(() => order.push("second"));
      settles[1]?.();
      await new Promise((resolve) => setTimeout(resolve, 20));
      order.push("meanwhile");
      settles[0]?.();
      await Promise.all([first, second]);
    },
  });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const board = statusBoard(
    { name: "confirms", kind: "source", type: "confirms" },
    { scrub: (text) => text },
  );
  const settled = () => new Promise<void>((resolve) => settles.push(resolve));
  const place = fakes.state();
  const backend = {
    topics: { settled, durability: async () => "disk" },
    state: { scope: () => place },
  } as unknown as Backend;
  const { signal } = new AbortController();
  await runSource(
    { kind: "source", name: "confirms", source, config: {}, to: "t" },
    {
      backend,
      board,
      log,
      topics: {},
      leaseMs: 1_000,
      gate: async () => {},
      scrub: (text) => text,
      signal,
    },
  );
  expect(order).toEqual(["meanwhile", "first", "second"]);
});

it("stops reading at once when its lease is lost, and reads again under a new one", async () => {
  const place = fakes.state();
  const tokens: AbortSignal[] = [];
  const source = defineSource({
    name: "waits",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    checkpoint: z.strictObject({}),
    emits: [],
    capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
    async *read({ signal }) {
      tokens.push(signal);
      yield { events: [], checkpoint: {} };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  const stop = new AbortController();
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const board = statusBoard(
    { name: "waits", kind: "source", type: "waits" },
    { scrub: (text) => text },
  );
  // Only what a source that yields no events uses.
  const backend = {
    topics: { settled: async () => {}, durability: async () => "disk" },
    state: { scope: () => place },
  } as unknown as Backend;
  const done = runSource(
    { kind: "source", name: "waits", source, config: {}, to: "t" },
    {
      backend,
      board,
      log,
      topics: {},
      leaseMs: 1_000,
      gate: async () => {},
      scrub: (text) => text,
      signal: stop.signal,
    },
  );
  await expect.poll(() => tokens.length).toBe(1);
  place.lapse("source");
  await expect.poll(() => tokens[0]?.aborted).toBe(true);
  await expect.poll(() => tokens.length, { timeout: 5_000 }).toBe(2);
  expect(tokens[1]?.aborted).toBe(false);
  stop.abort(new Error("the test is over"));
  await done;
});
