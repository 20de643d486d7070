import { setTimeout as sleep } from "node:timers/promises";
import { pinecone } from "../../connectors/sinks/pinecone/pinecone.ts";
import type { Backend } from "../../core/backend.ts";
import type { SinkConnector } from "../../core/config/pipeline.ts";
import { runConsumer } from "../../core/runtime/consumer-task.ts";
import { statusBoard } from "../../core/runtime/board.ts";
import type { StateStore } from "../../core/state/state.ts";
import { openStepsBackend, sinkName, topic, type StepsPlace } from "./steps-backend.ts";

/** What a process is told in its first argument. */
export interface StepsOrder {
  readonly place: StepsPlace;
  readonly url: string;
  readonly index: string;
  readonly partitions: number;
  /** Where it kills itself; absent: it does not, and ends when everything is handled. */
  readonly fatal?: { readonly step: number; readonly moment: "before" | "after" };
}

const order = JSON.parse(process.argv[2] ?? "") as StepsOrder;
let steps = 0;

/** Numbers a step, and dies where it is told: before it is taken, or when it is done and nobody knows yet. */
async function step<T>(take: () => Promise<T>): Promise<T> {
  steps += 1;
  const isFatal = order.fatal?.step === steps;
  if (isFatal && order.fatal?.moment === "before") return await die();
  const result = await take();
  return isFatal ? await die() : result;
}

async function die(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  await sleep(10_000);
  throw new Error("it lives");
}

const real = globalThis.fetch;
globalThis.fetch = (input, init) => step(() => real(input, init));

function stepping(store: StateStore): StateStore {
  return {
    ...store,
    each: (writes, fence) => step(() => store.each(writes, fence)),
    all: (writes, fence) => step(() => store.all(writes, fence)),
  };
}

const opened = await openStepsBackend(order.place, order.partitions);
let handled = 0;
const backend: Backend = {
  ...opened,
  state: {
    ...opened.state,
    scope: (name) => {
      const scope = opened.state.scope(name);
      return { ...scope, state: stepping(scope.state) };
    },
  },
  topics: {
    ...opened.topics,
    // The acknowledgement is what follows when `handle` returns.
    consume: (name, subscription, handle, run) =>
      opened.topics.consume(
        name,
        subscription,
        async (events, write) => {
          await handle(events, write);
          await step(async () => {});
          handled += events.length;
        },
        run,
      ),
  },
};

const connector: SinkConnector = {
  name: sinkName,
  kind: "sink",
  from: [topic],
  transforms: [],
  retry: { attempts: 5, maxDelayMs: 200 },
  sink: pinecone,
  config: pinecone.config.parse({
    index: order.index,
    apiKey: "any",
    url: order.url,
    create: true,
    timeoutMs: 400,
    embedding: { provider: "hash", dimensions: 16 },
    maxVectors: 20,
  }),
};
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: console.error };
const stop = new AbortController();
const running = runConsumer(connector, {
  backend,
  board: statusBoard({ name: sinkName, kind: "sink", type: "pinecone" }, { scrub: (text) => text }),
  log,
  topics: {},
  leaseMs: 1_000,
  gate: async () => {},
  scrub: (text) => text,
  signal: stop.signal,
});
for (;;) {
  await sleep(20);
  const waiting = (await opened.topics.subscriptions(topic)).map((one) => one.waiting);
  if (waiting.every((count) => count === 0)) break;
}
stop.abort();
await running;
await opened.close(1_000);
// oxlint-disable-next-line no-console -- how it answers
console.log(JSON.stringify({ steps, handled }));
process.exit(0);
