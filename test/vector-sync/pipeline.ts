import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pinecone } from "../../connectors/sinks/pinecone/pinecone.ts";
import {
  startLocalPinecone,
  type Fault,
  type LocalPinecone,
} from "../../connectors/sinks/pinecone/local/server.ts";
import { chunk } from "../../connectors/transforms/chunk/chunk.ts";
import { openBackend, type Backend } from "../../core/backend.ts";
import type { Pipeline } from "../../core/config/pipeline.ts";
import type { SluiceEvent } from "../../core/event.ts";
import type { DeadLetter } from "../../core/queue/queue.ts";
import { startPipeline, type Running } from "../../core/runtime/runner.ts";
import type { ConnectorStatus } from "../../core/runtime/status.ts";
import type { Manifest } from "../../core/vectors.ts";
import { openRequestLog, type RequestLog } from "./request-log.ts";

/** A vector as the server holds it. */
export interface Stored {
  readonly id: string;
  readonly values: readonly number[];
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A sink at work: documents published to its topic are chunked, embedded and written to a server of its own. */
export interface SyncedIndex {
  readonly server: LocalPinecone;
  readonly log: RequestLog;
  readonly backend: Backend;
  readonly publish: (events: readonly SluiceEvent[]) => Promise<void>;
  /** Resolves when the queue is empty and no document is pending. */
  readonly settle: (patienceMs?: number) => Promise<void>;
  /** A new process over the same queue and state, as far as one can be played within this one. */
  readonly restart: () => Promise<void>;
  readonly status: () => Promise<ConnectorStatus>;
  /** What the sink counted since the last call. */
  readonly counted: (name: string) => Promise<number>;
  readonly deadLetters: () => Promise<readonly DeadLetter[]>;
  readonly manifests: () => Promise<readonly Manifest[]>;
  /** From here on requests are answered truly. */
  readonly endFaults: () => void;
  readonly dump: (namespace?: string) => Promise<readonly Stored[]>;
  readonly close: () => Promise<void>;
}

const index = "kb";
const topic = "documents";
const sinkName = "search";
/** Marks the test's own readings. */
const pastFaults = "test=1";
/** An index is never longer behind than this, in these tests. */
const maxDelayMs = 150;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export async function openSyncedIndex(options: {
  readonly partitions: number;
  /** Asked at every request of the data plane. */
  readonly fault?: (path: string, body: string) => Fault | undefined;
  /** Each write becomes visible after a random time. */
  readonly isSlow?: boolean;
  readonly config?: object;
}): Promise<SyncedIndex> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-sync-"));
  const log = openRequestLog();
  let isFaulty = true;
  const server = await startLocalPinecone({
    host: "127.0.0.1",
    port: 0,
    dir: join(dir, "pinecone"),
    intercept: ({ path, body }) =>
      isFaulty && path.startsWith("/i/") && !path.includes(pastFaults)
        ? options.fault?.(path, body)
        : undefined,
    onWrite: log.onWrite,
  });
  if (options.isSlow)
    await log.fetch(`${server.url}/_admin/settings`, {
      method: "PATCH",
      headers: { "api-key": "test", "content-type": "application/json" },
      body: JSON.stringify({ jitterMs: maxDelayMs }),
    });
  log.watch(server.url);
  const embedding = { provider: "hash", dimensions: 64 };
  const pipeline: Pipeline = {
    project: "sync",
    queue: { kind: "embedded", dir: join(dir, "queue") },
    state: { kind: "embedded", dir: join(dir, "queue") },
    topics: { [topic]: { partitions: options.partitions, optional: false, maxWaiting: 1_000 } },
    connectors: [
      {
        name: sinkName,
        kind: "sink",
        from: [topic],
        transforms: [
          {
            use: "chunk",
            transform: chunk,
            config: chunk.config.parse({ maxTokens: 40, embedding }),
            configHash: "00000000",
          },
        ],
        retry: { attempts: 5, maxDelayMs: 1_000 },
        sink: pinecone,
        config: pinecone.config.parse({
          index,
          apiKey: "any",
          url: server.url,
          create: true,
          timeoutMs: 500,
          embedding,
          ...options.config,
        }),
      },
    ],
  };
  const backend = await openBackend(pipeline, { log: silent });
  const start = () =>
    startPipeline(pipeline, { log: silent, admin: { host: "127.0.0.1", port: 0 } });
  let running: Running = await start();
  const { signal } = new AbortController();
  const last = new Map<string, number>();

  async function status(): Promise<ConnectorStatus> {
    const { connectors } = await running.status();
    const [sink] = connectors;
    if (sink === undefined) throw new Error("there is no sink");
    return sink;
  }
  async function manifests(): Promise<readonly Manifest[]> {
    const found: Manifest[] = [];
    for await (const page of backend.state.scope(sinkName).state.scan("own/m/"))
      for (const { value } of page) found.push(value as unknown as Manifest); // vector sync's own keys
    return found;
  }
  async function isSettled(): Promise<boolean> {
    const waiting = (await backend.topics.subscriptions(topic)).map((one) => one.waiting);
    if (waiting.some((count) => count > 0)) return false;
    return (await manifests()).every(({ state }) => state !== "pending");
  }

  return {
    server,
    log,
    backend,
    publish: (events) => backend.topics.publish(topic, events, { signal }),
    status,
    manifests,
    async settle(patienceMs = 60_000) {
      const until = performance.now() + patienceMs;
      while (!(await isSettled())) {
        if (performance.now() > until)
          throw new Error(`not settled: ${JSON.stringify(await status())}`);
        await sleep(20);
      }
    },
    async restart() {
      await running.stop(5_000);
      last.clear();
      running = await start();
    },
    async counted(name) {
      const now = (await status()).counters[name] ?? 0;
      const before = last.get(name) ?? 0;
      last.set(name, now);
      return now - before;
    },
    async deadLetters() {
      const found: DeadLetter[] = [];
      for await (const page of backend.deadLetters.list(sinkName)) found.push(...page);
      return found;
    },
    endFaults: () => void (isFaulty = false),
    async dump(namespace = "__default__") {
      // What was acknowledged last must be readable first.
      if (options.isSlow) await sleep(maxDelayMs + 20);
      return await dump(server, namespace, log.fetch);
    },
    async close() {
      await running.stop(2_000);
      await backend.close(1_000);
      await server.close();
      log.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Reads a namespace past the sink, in id order. */
async function dump(
  { url }: LocalPinecone,
  namespace: string,
  ask: typeof fetch,
): Promise<readonly Stored[]> {
  const get = async (path: string, query: readonly (readonly [string, string])[]) => {
    const search = [["namespace", namespace], ...query].map(
      ([key = "", value = ""]) => `${key}=${encodeURIComponent(value)}`,
    );
    const response = await ask(
      `${url}/i/${index}/vectors/${path}?${search.join("&")}&${pastFaults}`,
      {
        headers: { "api-key": "test" },
      },
    );
    return await response.json();
  };
  const found: Stored[] = [];
  let token: string | undefined;
  do {
    const listed = (await get("list", [["limit", "50"], ...after(token)])) as {
      readonly vectors?: readonly { readonly id: string }[];
      readonly pagination?: { readonly next: string };
    };
    const ids = (listed.vectors ?? []).map(({ id }) => ["ids", id] as const);
    const { vectors = {} } = ids.length > 0 ? ((await get("fetch", ids)) as Fetched) : {};
    found.push(...Object.values(vectors));
    token = listed.pagination?.next;
  } while (token !== undefined);
  return found.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

interface Fetched {
  readonly vectors?: Readonly<Record<string, Stored>>;
}

function after(token: string | undefined): readonly (readonly [string, string])[] {
  return token === undefined ? [] : [["paginationToken", token]];
}
