import { once } from "node:events";
import type { Connector } from "../connector.ts";
import type { Extension } from "../extension.ts";
import type { Entry, Fence, StateStore } from "../state/state.ts";
import { context, writeRun } from "./fakes/context.ts";
import { run } from "./fakes/run.ts";
import type { ChildAnswer, ChildCall, ChildOrder } from "./killed.ts";
import { watchSteps } from "./steps.ts";

// A connector in a process of its own, to be killed: all that must survive is at its parent's.

const [order] = (await once(process, "message")) as [ChildOrder]; // as killed.ts sends it
let stepsLeft = Infinity;
if (order.diesAt !== undefined)
  watchSteps(() => {
    stepsLeft -= 1;
    if (stepsLeft === 0) process.kill(process.pid, "SIGKILL");
  });
const waiting = new Map<number, (answer: ChildAnswer) => void>();
process.on("message", (answer: ChildAnswer) => waiting.get(answer.id)?.(answer));
process.once("disconnect", () => process.exit());

async function ask(name: string, ...args: readonly unknown[]): Promise<unknown> {
  const id = waiting.size + 1;
  const call: ChildCall = { id, name, args };
  const answer = await new Promise<ChildAnswer>((resolve) => {
    waiting.set(id, resolve);
    process.send?.(call);
  });
  if ("error" in answer) throw new Error(answer.error);
  return answer.value;
}

/** A lease has functions, which no message carries. */
const plain = (fence: Fence | undefined) =>
  fence && ({ lease: fence.lease, token: fence.token } satisfies Fence);

const state: StateStore = {
  get: async (keys) => (await ask("get", keys)) as readonly (Entry | undefined)[],
  each: async (writes, fence) => (await ask("each", writes, plain(fence))) as readonly boolean[],
  all: async (writes, fence) => (await ask("all", writes, plain(fence))) as boolean,
  async *scan(prefix, options) {
    yield* (await ask("scan", prefix, options)) as readonly (readonly Entry[])[];
  },
};

const module = (await import(order.module)) as object;
const connector = Object.values(module).find(
  (one: unknown): one is Connector | Extension =>
    one !== null &&
    typeof one === "object" &&
    "kind" in one &&
    one.kind === order.kind &&
    "name" in one &&
    one.name === order.name,
);

const { signal } = new AbortController();
if (connector?.kind === "source" && order.kind === "source") {
  const { config, token } = order;
  const lease = { token, signal, until: () => Infinity, inherited: true, release: async () => {} };
  const reading = await run(connector, {
    config,
    state: {
      state,
      leases: { acquire: async (name) => ({ lease: name, ...lease }) },
      lapse: () => {},
      advance: () => {},
      copy: () => {
        throw new Error("kit: state is the parent's, and copied there.");
      },
    },
    publish: async (events) => void (await ask("publish", events)),
  });
  await reading.ended;
} else if (connector?.kind === "sink" && order.kind === "sink") {
  const config = connector.config.parse(order.config);
  const writer = await connector.open(context({ config, state }));
  await ask("opened");
  stepsLeft = order.diesAt ?? Infinity;
  await writer.write(order.batch, writeRun());
  await ask("written");
} else if (connector?.kind === "transform" && order.kind === "transform") {
  const config = connector.config.parse(order.config);
  const worker = await connector.open(context({ config, state }));
  await ask("answered", await worker.apply(order.samples, { signal }));
} else if (connector?.kind === "embedder" && order.kind === "embedder") {
  const config = connector.config.parse(order.config);
  const embedder = await connector.open(context({ config, state }));
  const vectors = await embedder.embed(order.texts, { input: "passage", signal });
  await ask("answered", [embedder.fingerprint, ...vectors]);
} else if (connector?.kind === "store" && order.kind === "store") {
  const { dimensions, namespace, upsert, remove } = order;
  const config = connector.config.parse(order.config);
  const store = await connector.open({
    ...context({ config, state }),
    dimensions,
    readOnly: false,
  });
  await ask("opened");
  stepsLeft = order.diesAt ?? Infinity;
  await store.upsert(upsert, { namespace, signal });
  await ask("upserted");
  if (remove.length > 0) await store.remove(remove, { namespace, signal });
  await ask("removed");
} else {
  throw new Error(`kit: ${order.module} exports no ${order.kind} called "${order.name}".`);
}
