import { expect, it, onTestFinished } from "vitest";
import type { Backend } from "../backend.ts";
import { defineSink, type Writer } from "../connector.ts";
import { PoisonError } from "../errors.ts";
import { z } from "../index.ts";
import type { Topics } from "../queue/queue.ts";
import { fakes } from "../testing/index.ts";
import { statusBoard } from "./board.ts";
import { runConsumer } from "./consumer-task.ts";

/** Runs a sink that is given batches by `consume`. */
function runSink(
  write: Writer["write"],
  given: {
    readonly consume: Topics["consume"];
    readonly add?: () => Promise<void>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { consume, add, signal } = given;
  const sink = defineSink({
    name: "under-test",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    accepts: [""],
    open: async () => ({ write, close: async () => {} }),
  });
  // Only what a consumer uses.
  const backend = {
    topics: { consume, subscribe: async () => "known" },
    deadLetters: { add },
    state: { scope: () => fakes.state() },
  } as unknown as Backend;
  const scrub = (text: string) => text;
  const board = statusBoard({ name: "s", kind: "sink", type: "under-test" }, { scrub });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const retry = { attempts: 3, maxDelayMs: 10 };
  const gate = async () => {};
  return runConsumer(
    { kind: "sink", name: "s", sink, config: {}, from: ["t"], transforms: [], retry },
    { backend, board, log, topics: {}, leaseMs: 1_000, gate, scrub, signal },
  );
}

it("acknowledges a batch only when its dead letter is durable (Invariant 8)", async () => {
  const happened: string[] = [];
  let isDurable = () => {};
  const durable = new Promise<void>((resolve) => (isDurable = resolve));
  const stop = new AbortController();
  const write = async () => {
    throw new PoisonError("never", { code: "test.never" });
  };
  const consume: Topics["consume"] = async (_topic, _name, handle) => {
    await handle([fakes.record("a", {})], fakes.writeRun({ signal: stop.signal }));
    happened.push("acknowledged");
  };
  const add = async () => {
    happened.push("letter sent");
    await durable;
    happened.push("letter durable");
  };
  const done = runSink(write, { consume, add, signal: stop.signal });
  await expect.poll(() => happened).toEqual(["letter sent"]);
  isDurable();
  await done;
  expect(happened).toEqual(["letter sent", "letter durable", "acknowledged"]);
});

it("lets a writer listen to its signal once a request, however many it makes", async () => {
  const warned: string[] = [];
  const hear = ({ name }: Error) => void warned.push(name);
  process.on("warning", hear);
  onTestFinished(() => void process.off("warning", hear));
  let listening = 0;
  const write: Writer["write"] = async (_events, { signal }) => {
    for (; listening < 1_000; listening += 1) signal.addEventListener("abort", () => {});
  };
  const { signal } = new AbortController();
  const consume: Topics["consume"] = async (_topic, _name, handle) => {
    await handle([fakes.record("a", {})], { ...fakes.writeRun(), signal });
  };
  await runSink(write, { consume, signal: new AbortController().signal });
  await new Promise(setImmediate); // warnings come a little later
  expect({ listening, warned }).toEqual({ listening: 1_000, warned: [] });
});
