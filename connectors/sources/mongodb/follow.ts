import { setMaxListeners } from "node:events";
import { channel, type SnapshotRequest, type SourceBatch, type SourceContext } from "sluice";
import { isCaptured, type Capture } from "./capture.ts";
import type { Bound, Checkpoint, Pass } from "./checkpoint.ts";
import type { Options } from "./config.ts";
import { copy, type ChunkNews, type CopyNews } from "./copy.ts";
import type { Deployment } from "./deployment.ts";
import { emitter } from "./emitter.ts";
import type { Meanings } from "./events.ts";
import { lookups } from "./lookup.ts";
import type { Memory } from "./memory.ts";
import { watchOplog } from "./oplog.ts";
import { passes } from "./passes.ts";
import type { Position } from "./position.ts";
import { notCaptured } from "./problems.ts";
import { readings } from "./readings.ts";
import { persistently } from "./retry.ts";
import { stream } from "./stream.ts";
import { secondsOf } from "./token.ts";
import type { Answer } from "./track.ts";

type Arrival =
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "request"; readonly request: SnapshotRequest }
  | CopyNews;

/** Answers and chunks that wait to be emitted, of up to 16 MB each. */
const maxWaiting = 3;
const idleAwaitMs = 1_000;
/** A copy waits for the stream to come to where its chunks were read. */
const copyingAwaitMs = 20;
/** A stream that is never at its end must not hold up a pass for ever. */
const beginWithinMs = 2_000;
/** Less is no lag worth telling. */
const leastLagSeconds = 3;

/**
 * Emits what the stream tells, and in between what copies read: a chunk is emitted when the stream has come to
 * the time it was read at, and without the records that the stream has told of meanwhile. So the versions of a
 * record rise, whoever listens, and a snapshot equals the stream.
 */
export async function* follow(
  context: SourceContext<Options, Checkpoint>,
  place: {
    readonly deployment: Deployment;
    readonly capture: Capture;
    readonly meanings: Meanings;
    readonly memory: Memory;
    readonly bound: Bound;
    readonly position: Position | undefined;
    readonly passes: readonly Pass[];
  },
): AsyncGenerator<SourceBatch<Checkpoint>> {
  const { config: options, log, progress, requests } = context;
  const { deployment, capture, memory } = place;
  const over = new AbortController();
  const signal = AbortSignal.any([context.signal, over.signal]);
  // Every read in flight listens to it, and there are as many as ranges.
  setMaxListeners(0, signal);
  const arrivals = channel<Arrival>(maxWaiting);
  const send = (arrival: Arrival) => arrivals.send(arrival, { signal });
  const start = (task: () => Promise<void>) => void task().catch(arrivals.close);
  signal.addEventListener("abort", () => arrivals.close(), { once: true });

  const all = passes(place.passes);
  const open = readings();
  const emits = emitter({ ...place, passes: all, readings: open, writes: memory.start });
  const lookup = lookups(deployment, options, { signal });
  const run = { signal, log, readings: open, lookup, send, reached: emits.reached };
  const isCopying = () => all.running() !== undefined || all.waiting() !== undefined;
  const awaitMs = () => (isCopying() ? copyingAwaitMs : Math.min(idleAwaitMs, options.heartbeatMs));
  const watch = watchOplog(deployment, log);
  const held: ChunkNews[] = [];
  let waitingSince = performance.now();

  start(async () => {
    const at = { deployment, capture, options };
    for await (const answer of stream(at, place.position, { signal, log, awaitMs })) {
      const changes = await persistently(() => lookup.complete(answer.changes), run);
      await send({ kind: "answer", answer: { ...answer, changes } });
    }
  });
  start(async () => {
    for await (const request of requests) {
      const unknown = (request.collections ?? []).filter((text) => !isCaptured(capture, text));
      if (unknown.length === 0) await send({ kind: "request", request });
      else await context.refuse(request.id, notCaptured(unknown, options.collections));
    }
  });

  try {
    for await (const arrival of arrivals) {
      if (signal.aborted) return;
      let mayBegin = false;
      switch (arrival.kind) {
        case "answer": {
          const { answer } = arrival;
          yield* emits.answer(answer);
          mayBegin = answer.changes.length === 0;
          void watch(answer.position, answer.now);
          if (!isCopying()) progress({ phase: "streaming", ...lagOf(answer) });
          break;
        }
        case "request":
          all.add(arrival.request);
          waitingSince = performance.now();
          break;
        case "chunk":
          held.push(arrival);
          break;
        case "counted":
          all.counted(arrival.total);
          break;
        case "opened":
          all.opened(arrival.name, arrival.ranges);
          break;
        case "finished":
          yield* emits.closed(arrival.name);
          break;
        case "passed":
          yield* emits.passed(arrival.names);
          waitingSince = performance.now();
          if (!isCopying()) progress({ phase: "streaming" });
          break;
      }
      for (const news of takeReady(held, emits.through())) yield* emits.chunk(news);
      const running = all.running();
      if (running)
        progress({
          phase: "snapshot",
          done: running.done,
          total: Math.max(running.done, running.total),
        });
      // At the end of the stream all is emitted that there was; a pass tells what is gone by that.
      else if (all.waiting() && (mayBegin || performance.now() - waitingSince > beginWithinMs)) {
        const pass = all.begin(emits.through(), await memory.nextPass());
        start(() => copy({ deployment, capture, options }, pass, run));
      }
      yield* emits.heartbeat(options.heartbeatMs);
    }
  } finally {
    over.abort();
  }
}

/** Chunks that the stream has come up with; the others stay. */
function takeReady(held: ChunkNews[], through: bigint): readonly ChunkNews[] {
  const ready = held.filter(({ chunk, reading }) => chunk.time <= through || reading.isVoid());
  for (const news of ready) held.splice(held.indexOf(news), 1);
  return ready;
}

function lagOf({ changes, now }: Answer): { readonly lag?: string; readonly lagSeconds: number } {
  const last = changes.at(-1);
  const seconds = last ? secondsOf(now) - secondsOf(last.time) : 0;
  if (seconds < leastLagSeconds) return { lagSeconds: 0 };
  return { lag: `${seconds} s`, lagSeconds: seconds };
}
