import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { ResolvedConnector } from "../../../core/config/pipeline.ts";
import { defineSink, defineSource, type Log, type WriteRun } from "../../../core/connector.ts";
import { FencedError, PartialError, PoisonError, RetryableError } from "../../../core/errors.ts";
import type { SluiceEvent } from "../../../core/event.ts";
import { z } from "../../../core/index.ts";
import { startPipeline } from "../../../core/runtime/runner.ts";
import type { Answer, CountedOrder, FromProcess, Question, ToProcess } from "./messages.ts";
import { watchLog } from "./log-mark.ts";
import { eventAt, numberOf } from "./origin.ts";

// One process of the counted pipeline: its origin and its target are the process that forked it.

const order = JSON.parse(process.argv.at(-1) ?? "") as CountedOrder;
/** The longest that a request to the target may take. */
const requestMs = 2_000;

const markOf = order.log && watchLog(order.log);
const open = new Map<number, (answer: Answer) => void>();
let asked = 0;

function send(message: FromProcess): void {
  process.send?.(message);
}

/** Asks, and waits for the answer until `signal` aborts. */
async function ask(question: Question, signal: AbortSignal): Promise<Answer> {
  signal.throwIfAborted();
  const id = (asked += 1);
  const over = new AbortController();
  try {
    return await Promise.race([
      new Promise<Answer>((resolve) => {
        open.set(id, resolve);
        send({ ...question, id });
      }),
      once(signal, "abort", { signal: over.signal }).then(() => {
        throw signal.reason as Error;
      }),
    ]);
  } finally {
    open.delete(id);
    over.abort();
  }
}

const checkpoint = z.strictObject({ after: z.number(), by: z.number() });

const counted = defineSource({
  name: "counted",
  version: "1.0.0",
  summary: "Counts.",
  config: z.strictObject({}),
  checkpoint,
  emits: [""],
  capabilities: {
    deletes: false,
    snapshotOnRequest: false,
    replays: true,
    forgets: order.forgets,
  },
  async *read({ checkpoint: from, signal, settled }) {
    let after = from?.after ?? 0;
    await ask({ ask: "begin", after }, signal);
    while (!signal.aborted) {
      const answer = await ask({ ask: "more", after }, signal);
      if (answer.is !== "more") throw new Error(`an answer to "more": ${answer.is}`);
      const upTo = Math.min(answer.upTo, after + order.most);
      const events = Array.from({ length: upTo - after }, (_, at) =>
        eventAt(order.seed, after + at + 1),
      );
      yield { events, checkpoint: { after: upTo, by: process.pid } };
      after = upTo;
      void settled()
        .then(() => send({ tell: "confirm", upTo, ...(markOf && { mark: markOf() }) }))
        .catch(() => {}); // aborted: whoever reads next confirms it
    }
  },
});

async function write(events: readonly SluiceEvent[], run: WriteRun): Promise<void> {
  const numbers = events.map(numberOf);
  const { lease, token } = run.fence;
  const at = Date.now();
  // What a sink has to do before every request: the lease must outlive it.
  if (performance.now() > run.deadline)
    throw new FencedError("counted: the lease ends too soon.", { code: "test.late" });
  const timeout = AbortSignal.timeout(requestMs);
  const either = AbortSignal.any([run.signal, timeout]);
  const answer = await ask({ ask: "write", numbers, lease, token, at }, either).catch(
    (cause: unknown) => {
      if (!timeout.aborted || run.signal.aborted) throw cause;
      throw new RetryableError("counted: no answer.", { code: "test.away", reason: "unreachable" });
    },
  );
  if (answer.is === "throttled")
    throw new RetryableError("counted: slower.", {
      code: "test.slower",
      reason: "throttled",
      retryAfterMs: answer.retryAfterMs,
    });
  const poison = new PoisonError("counted: never.", { code: "test.never" });
  if (answer.is === "refused") throw poison;
  if (answer.is === "poison")
    throw new PartialError("counted: not all.", {
      code: "test.partly",
      failures: new Map(answer.at.map((at) => [at, poison])),
    });
}

const target = defineSink({
  name: "target",
  version: "1.0.0",
  summary: "Is asked.",
  config: z.strictObject({}),
  accepts: [""],
  open: async () => ({ write, close: async () => {} }),
});

const connectors: readonly ResolvedConnector[] = [
  { kind: "source", name: "counted", source: counted, config: {}, to: "counted" },
  {
    kind: "sink",
    name: "target",
    sink: target,
    config: {},
    from: ["counted"],
    transforms: [],
    retry: { attempts: 3, maxDelayMs: 2_000 },
  },
];

const said = (level: string) => (fields: object, message: string) => {
  const text = JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? `${value.name}: ${value.message}` : value,
  );
  send({ tell: "log", level, message, fields: text.slice(0, 500) });
};
const log: Log = { debug: () => {}, info: said("info"), warn: said("warn"), error: said("error") };

process.on("message", (message: ToProcess) => {
  if ("answer" in message) open.get(message.id)?.(message.answer);
  else void stop(message.stop);
});
process.once("disconnect", () => process.exit(1));
process.once("SIGTERM", () => void stop(10_000));

const { project, place, partitions, maxWaiting } = order;
const starting = startPatiently();
send({ tell: "ready" });

/** As a supervisor would: the queue may be away when the process starts. */
async function startPatiently() {
  for (;;)
    try {
      return await startPipeline(
        {
          project,
          queue: place,
          state: place,
          topics: { counted: { partitions, optional: false, maxWaiting } },
          connectors,
        },
        { log, admin: { host: "127.0.0.1", port: 0 } },
      );
    } catch (error) {
      said("warn")({ error }, "could not start, tries again");
      await sleep(500);
    }
}

async function stop(graceMs: number): Promise<void> {
  const running = await Promise.race([starting, sleep(graceMs, undefined)]);
  await running?.stop(graceMs);
  process.exit(0);
}
