import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { openBackend } from "../core/backend.ts";
import type { Pipeline, ResolvedConnector } from "../core/config/pipeline.ts";
import { defineSink, defineSource } from "../core/connector.ts";
import { upserted } from "../core/event.ts";
import { z } from "../core/index.ts";
import type { Topics } from "../core/queue/queue.ts";
import { startPipeline } from "../core/runtime/runner.ts";
import { version } from "../core/version.ts";

/** A pipeline that counts as fast as it can, and compares what came with what was sent. */
export interface Counting {
  readonly project: string;
  readonly topics: Topics;
  /** Numbers that the source has published, as far as it knows. */
  readonly published: () => number;
  /** Whether the sink handles what comes; until it goes on, everything waits in the queue. */
  readonly hold: () => void;
  readonly goOn: () => void;
  /** Resolves once so many different numbers have reached the sink. */
  readonly handled: (count: number) => Promise<void>;
  /** Stops counting, and waits for the rest to arrive. */
  readonly finish: () => Promise<void>;
  /** Every number came, the sink holds the last of each key, and those of each key came in order, as far as they came for the first time. */
  readonly assertExact: () => void;
  readonly stop: () => Promise<void>;
}

const size = 20;
const keys = 50;
/** A job that was under way when Redis went back is given out again once its lock has run out. */
const withinMs = 60_000;

/** Its origin can be read again from any number, as it `replays`. */
export async function startCounting(url: string): Promise<Counting> {
  const project = `counting-${randomUUID().slice(0, 8)}`;
  const seen = new Set<number>();
  const newest = new Map<string, { readonly n: number; readonly sequence: string }>();
  const disorder: string[] = [];
  let published = 0;
  let isOver = false;
  let isHeld = false;
  let last = 0;

  const source = defineSource({
    name: "numbers",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    checkpoint: z.strictObject({ next: z.number() }),
    emits: ["dev.sluice.record."],
    capabilities: { deletes: false, snapshotOnRequest: false, replays: true, forgets: false },
    async *read({ checkpoint, signal }) {
      for (let next = checkpoint?.next ?? 0; !isOver || next < last; next += size) {
        if (isOver && next >= last) break;
        last = Math.max(last, next + size);
        yield { events: range(next, next + size).map(change), checkpoint: { next: next + size } };
        published = Math.max(published, next + size);
      }
      await sleep(3_600_000, undefined, { signal }).catch(() => undefined); // aborted
    },
  });
  const sink = defineSink({
    name: "collect",
    version: "1.0.0",
    summary: "",
    config: z.strictObject({}),
    accepts: [""],
    open: async () => ({
      close: async () => {},
      write: async (events, { signal }) => {
        while (isHeld) await sleep(10, undefined, { signal });
        for (const event of events) {
          const { subject = "", sequence } = event as typeof event & { readonly sequence: string };
          const { n } = (event.data as { readonly after: { readonly n: number } }).after;
          const held = newest.get(subject);
          if (!seen.has(n) && held && n < held.n) disorder.push(`${subject}: ${n} after ${held.n}`);
          seen.add(n);
          if (!held || sequence > held.sequence) newest.set(subject, { n, sequence });
        }
      },
    }),
  });
  const connectors: readonly ResolvedConnector[] = [
    { kind: "source", name: "numbers", source, config: {}, to: "numbers" },
    {
      kind: "sink",
      name: "collect",
      sink,
      config: {},
      from: ["numbers"],
      transforms: [],
      retry: { attempts: 3, maxDelayMs: 50 },
    },
  ];
  const place = { kind: "redis", url } as const;
  const pipeline: Pipeline = {
    project,
    queue: place,
    state: place,
    topics: { numbers: { partitions: 4, optional: false, maxWaiting: 100 } },
    connectors,
  };
  const log = { debug() {}, info() {}, warn: say, error: say };
  const running = await startPipeline(pipeline, { log, admin: { host: "127.0.0.1", port: 0 } });
  const backend = await openBackend(pipeline, { log });

  const until = async (condition: () => boolean, what: string) => {
    const deadline = performance.now() + withinMs;
    while (!condition()) {
      if (performance.now() > deadline)
        throw new Error(`${what}: ${seen.size} of ${published} after ${withinMs} ms`);
      await sleep(20);
    }
  };

  const assertComplete = () => {
    assert.deepEqual(
      range(0, last).filter((n) => !seen.has(n)),
      [],
      "lost",
    );
    for (const n of range(last - keys, last)) assert.equal(newest.get(subjectOf(n))?.n, n);
  };

  return {
    project,
    topics: backend.topics,
    published: () => published,
    hold: () => void (isHeld = true),
    goOn: () => void (isHeld = false),
    handled: (count) => until(() => seen.size >= count, `${count} to be handled`),
    finish: async () => {
      isOver = true;
      await until(() => published >= last && seen.size >= last, "the rest");
    },
    assertExact: () => {
      assert.deepEqual(disorder, []);
      assertComplete();
    },
    stop: async () => {
      await running.stop(5_000);
      await backend.close(1_000);
    },
  };
}

function say(fields: object, message: string): void {
  if (process.env["SLUICE_TEST_LOG"]) console.error(message, JSON.stringify(fields));
}

function subjectOf(n: number): string {
  return `key-${n % keys}`;
}

function change(n: number) {
  return upserted({
    source: "/numbers",
    key: subjectOf(n),
    subject: subjectOf(n),
    version: version({ epoch: 0, position: BigInt(n), rank: 1, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    op: "update",
    after: { n },
    meta: {},
  });
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, at) => Math.max(0, from) + at);
}
