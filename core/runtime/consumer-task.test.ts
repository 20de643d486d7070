import { expect, it } from "vitest";
import type { Backend } from "../backend.ts";
import { defineSink } from "../connector.ts";
import { PoisonError } from "../errors.ts";
import { z } from "../index.ts";
import type { Topics } from "../queue/queue.ts";
import { fakes } from "../testing/index.ts";
import { statusBoard } from "./board.ts";
import { runConsumer } from "./consumer-task.ts";

it("acknowledges a batch only when its dead letter is durable (Invariant 8)", async () => {
  const happened: string[] = [];
  let isDurable = () => {};
  const durable = new Promise<void>((resolve) => (isDurable = resolve));
  const sink = defineSink({
    name: "refuses",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    accepts: [""],
    open: async () => ({
      write: async () => {
        throw new PoisonError("never", { code: "test.never" });
      },
      close: async () => {},
    }),
  });
  const stop = new AbortController();
  const consume: Topics["consume"] = async (_topic, _name, handle) => {
    await handle([fakes.record("a", {})], fakes.writeRun({ signal: stop.signal }));
    happened.push("acknowledged");
  };
  const add = async () => {
    happened.push("letter sent");
    await durable;
    happened.push("letter durable");
  };
  // Only what a consumer uses.
  const backend = {
    topics: { consume, subscribe: async () => "known" },
    deadLetters: { add },
    state: { scope: () => fakes.state() },
  } as unknown as Backend;
  const board = statusBoard(
    { name: "refuses", kind: "sink", type: "refuses" },
    { scrub: (text) => text },
  );
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const retry = { attempts: 3, maxDelayMs: 10 };
  const done = runConsumer(
    { kind: "sink", name: "refuses", sink, config: {}, from: ["t"], transforms: [], retry },
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
  await expect.poll(() => happened).toEqual(["letter sent"]);
  isDurable();
  await done;
  expect(happened).toEqual(["letter sent", "letter durable", "acknowledged"]);
});
