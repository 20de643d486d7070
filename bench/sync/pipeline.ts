import { hash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pinecone } from "../../connectors/sinks/pinecone/pinecone.ts";
import { openBackend } from "../../core/backend.ts";
import type { Pipeline, Place } from "../../core/config/pipeline.ts";
import type { DocumentUpserted, SluiceEvent } from "../../core/event.ts";
import { startPipeline } from "../../core/runtime/runner.ts";
import type { ConnectorStatus } from "../../core/runtime/status.ts";
import { version } from "../../core/version.ts";

/** The sink as `sluice start` runs it, in this process: queue, runner, vector sync, HTTP. */
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
  /** Of the queue; `undefined`: embedded, in a fresh folder. */
  readonly redis: string | undefined;
  readonly project: string;
  readonly url: string;
  readonly index: string;
  readonly dimensions: number;
  readonly partitions: number;
  readonly config?: object;
}): Promise<BenchSink> {
  const { redis, project, url, index, dimensions, partitions } = options;
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const place: Place = redis ? { kind: "redis", url: redis } : { kind: "embedded", dir };
  const config = pinecone.config.parse({
    index,
    apiKey: "bench",
    url,
    create: true,
    embedding: { provider: "hash", dimensions },
    ...options.config,
  });
  const pipeline: Pipeline = {
    project,
    queue: place,
    state: place,
    topics: { [topic]: { partitions, optional: false, maxWaiting: 1_000_000 } },
    connectors: [
      {
        name,
        kind: "sink",
        from: [topic],
        transforms: [],
        retry: { attempts: 5, maxDelayMs: 30_000 },
        sink: pinecone,
        config,
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
      running = await startPipeline(pipeline, {
        log: silent,
        admin: { host: "127.0.0.1", port: 0 },
      });
    },
    async handled(events) {
      while (((await status())?.events ?? 0) < events) await sleep(20);
    },
    counters: async () => (await status())?.counters ?? {},
    async close() {
      await running?.stop(2_000);
      await backend.close(1_000);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A document of the given chunks, as it leaves `chunk`. */
export function documentOf(
  subject: string,
  texts: readonly string[],
  position: number,
): DocumentUpserted {
  const source = "/bench/shop/public.articles";
  let at = 0;
  const chunks = texts.map((text) => {
    const start = at;
    at += text.length + 2;
    const id = `${hash("sha256", text, "hex").slice(0, 16)}~0`;
    return { id, text, start, end: start + text.length };
  });
  return {
    specversion: "1.0",
    id: `${subject}@${position}~chunk`,
    type: "dev.sluice.document.upserted",
    source,
    subject,
    sequence: version({ epoch: 1, position: BigInt(position), rank: 1, tail: 0 }),
    time: new Date().toISOString(),
    partitionkey: `${source}\n${subject}`,
    data: {
      key: subject,
      text: texts.join("\n\n"),
      metadata: { author: "Ann", category: "articles" },
      chunks,
      lineage: ["render@1.0.0:00000000", "chunk@1.0.0:00000000"],
    },
  };
}
