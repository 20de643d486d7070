import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pinecone } from "../../connectors/sinks/pinecone/pinecone.ts";
import { openBackend } from "../../core/backend.ts";
import type { Pipeline, Place, SinkConnector } from "../../core/config/pipeline.ts";
import type { SluiceEvent } from "../../core/event.ts";
import { startPipeline } from "../../core/runtime/runner.ts";
import type { ConnectorStatus } from "../../core/runtime/status.ts";

/** The sink as `sluice start` runs it, in this process: queue, runner, transforms, vector sync, HTTP. */
export interface BenchSink {
  readonly publish: (events: readonly SluiceEvent[]) => Promise<void>;
  /** Starts consuming; before, what is published waits. */
  readonly start: () => Promise<void>;
  /** Resolves when so many events are handled in all. */
  readonly handled: (events: number) => Promise<void>;
  readonly counters: () => Promise<ConnectorStatus["counters"]>;
  readonly close: () => Promise<void>;
}

const topic = "documents";
const name = "search";
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: console.error };

export async function openSink(options: {
  /** Of the queue; without it, embedded in a fresh folder. */
  readonly redis?: string | undefined;
  readonly url: string;
  readonly index: string;
  readonly dimensions: number;
  readonly partitions: number;
  readonly transforms?: SinkConnector["transforms"];
}): Promise<BenchSink> {
  const { redis, url, index, dimensions, partitions, transforms = [] } = options;
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-sync-"));
  const place: Place = redis ? { kind: "redis", url: redis } : { kind: "embedded", dir };
  const pipeline: Pipeline = {
    project: `bench-${process.pid}-${index}`,
    queue: place,
    state: place,
    topics: { [topic]: { partitions, optional: false, maxWaiting: 1_000_000 } },
    connectors: [
      {
        name,
        kind: "sink",
        from: [topic],
        transforms,
        retry: { attempts: 5, maxDelayMs: 30_000 },
        sink: pinecone,
        config: pinecone.config.parse({
          index,
          apiKey: "bench",
          url,
          create: true,
          embedding: { provider: "hash", dimensions },
          // What is measured is our side: the server here has no limits.
          rates: { upsertsPerSecond: 1e6, upsertedMBPerSecond: 1e6, deletesPerSecond: 1e6 },
        }),
      },
    ],
  };
  const backend = await openBackend(pipeline, { log: silent });
  await backend.topics.subscribe({ topic, name });
  const { signal } = new AbortController();
  let running: Awaited<ReturnType<typeof startPipeline>> | undefined;
  const status = async () => {
    const [sink] = (await running?.status())?.connectors ?? [];
    if (sink?.state === "failed") throw new Error(JSON.stringify(sink.error));
    return sink;
  };
  return {
    publish: (events) => backend.topics.publish(topic, events, { signal }),
    async start() {
      const admin = { host: "127.0.0.1", port: 0 };
      running = await startPipeline(pipeline, { log: silent, admin });
    },
    async handled(events) {
      while (((await status())?.events ?? 0) < events) await sleep(10);
    },
    counters: async () => (await status())?.counters ?? {},
    async close() {
      await running?.stop(2_000);
      await backend.close(1_000);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
