import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Collection } from "mongodb";
import { startMongod } from "../test/mongod.ts";
import { startRedis } from "../test/redis-server.ts";
import { find, readSource, watch, type Reading } from "./mongodb/readers.ts";
import { startPart, type Part } from "./parts/part.ts";
import { sayer } from "./parts/say.ts";

const usage = `bench mongodb: documents/s from a MongoDB replica set of one member, all on this machine.

In every round, one after the other, of the same documents: the official driver alone (\`find\`, \`watch\`), which decodes
them and throws them away: that is the baseline; the source alone, its events thrown away; and the pipeline, through the
durable queue to a worker process, counted there. Ratios are to the baseline of the same round.

  --documents N     of about 600 bytes (100000)
  --rounds N        (3)
  --latency N       seconds of the latency measure, at 200 inserts/s (10)
  --partitions N    of the topic (4)
  --queue KIND      redis (append-only file, fsync every second) or embedded (redis)
  --only LIST       of copy,inserts,updates,latency (all)
  --json            one JSON line a measure
`;

type Kind = "inserts" | "updates";

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      documents: { type: "string", default: "100000" },
      rounds: { type: "string", default: "3" },
      latency: { type: "string", default: "10" },
      partitions: { type: "string", default: "4" },
      queue: { type: "string", default: "redis" },
      only: { type: "string", default: "copy,inserts,updates,latency" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const documents = Number(values.documents);
  const rounds = Array.from({ length: Number(values.rounds) }, (_, at) => at + 1);
  const only = new Set(values.only.split(","));
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const redis = values.queue === "redis" ? await startRedis() : undefined;
  const set = await startMongod({ oplogMB: 2_000, cacheGB: 1 });
  const client = set.client();
  const say = sayer(values.json);

  let worlds = 0;
  const world = () => {
    const name = `bench${++worlds}`;
    const collection = client.db(name).collection("articles");
    const config = { url: set.url, collections: [`${name}.articles`] };
    const common = {
      project: name,
      queue: redis?.url ?? join(dir, name),
      topics: { articles: { partitions: Number(values.partitions) } },
    };
    const source = (more: object) => ({
      name: "articles",
      source: "mongodb",
      to: "articles",
      config: { ...config, ...more },
    });
    const worker = { name: "worker", sink: "counting", from: "articles" };
    const start = (part: string, connector: object) =>
      startPart(join(dir, `${name}-${part}.json`), { ...common, connectors: [connector] });
    return {
      collection,
      config,
      startSource: (more: object = {}) => start("source", source(more)),
      startWorker: () => start("worker", worker),
      drop: () => client.db(name).dropDatabase(),
    };
  };
  type World = ReturnType<typeof world>;

  /** Until the worker has been handed all of them; from the first to the last that it got. */
  const throughQueue = async (one: World, worker: Part, more: object = {}) => {
    const source = await one.startSource(more);
    const done = await worker.until(({ events }) => events >= documents, 300_000);
    const cpuMs = (source.last()?.cpuMs ?? 0) + done.cpuMs;
    const result = {
      perSecond: Math.round(documents / ((done.lastMs - done.firstMs) / 1_000)),
      events: done.events,
      firstEventMs: Math.round(done.firstMs - source.startedMs),
      cpuUsPerEvent: ((cpuMs * 1_000) / documents).toFixed(1),
      sourceRssMB: megabytes(source.peakRssBytes()),
      workerRssMB: megabytes(worker.peakRssBytes()),
    };
    await source.stop();
    await worker.stop();
    return result;
  };
  const report = (
    measure: string,
    round: number,
    of: {
      readonly bare: Reading;
      readonly source: Reading;
      readonly queue: Awaited<ReturnType<typeof throughQueue>>;
    },
  ) => {
    const { bare, source, queue } = of;
    const { perSecond, events, ...rest } = queue;
    say(measure, {
      round,
      documents,
      driverPerSecond: bare.perSecond,
      sourcePerSecond: source.perSecond,
      sourceRatio: ratio(source, bare),
      queuePerSecond: perSecond,
      queueRatio: ratio(queue, bare),
      exact: source.documents === documents && events === documents,
      ...rest,
      load: loadavg()[0]?.toFixed(2),
    });
  };

  const copy = async (round: number) => {
    const one = world();
    await insert(one.collection, documents);
    const bare = await find(one.collection);
    const source = await readSource(one.config, { limit: documents });
    const worker = await one.startWorker();
    await worker.until(() => true, 20_000);
    report("copy", round, { bare, source, queue: await throughQueue(one, worker) });
    await one.drop();
  };

  const streaming = async (kind: Kind, round: number) => {
    const one = world();
    if (kind === "updates") await insert(one.collection, documents);
    else await one.collection.insertOne({ first: true });
    const never = { ...one.config, snapshot: "never" };
    // Both stand at the end of the stream before the changes are made.
    const { checkpoint } = await readSource(never, { limit: 0 });
    const worker = await one.startWorker();
    const first = await one.startSource({ snapshot: "never" });
    await first.until(({ phase }) => phase === "streaming", 20_000);
    await first.stop();
    const { operationTime } = await client.db("admin").command({ ping: 1 });
    // A change of something else, so that the time above has passed.
    await client.db("other").collection("ticks").insertOne({});
    if (kind === "updates") await update(one.collection, documents);
    else await insert(one.collection, documents);
    const bare = await watch(one.collection, operationTime, documents);
    const source = await readSource(never, { checkpoint, limit: documents });
    const queue = await throughQueue(one, worker, { snapshot: "never" });
    report(`streaming ${kind}`, round, { bare, source, queue });
    await one.drop();
  };

  const latency = async (seconds: number) => {
    const one = world();
    await one.collection.insertOne({ first: true });
    const worker = await one.startWorker();
    const source = await one.startSource({ snapshot: "never" });
    await source.until(({ phase }) => phase === "streaming", 20_000);
    const everyMs = 5;
    const count = (seconds * 1_000) / everyMs;
    const start = performance.now() + 50;
    const sent: Promise<unknown>[] = [];
    for (let n = 0; n < count; n++) {
      const planned = start + n * everyMs;
      const waitMs = planned - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      const author = `@${performance.timeOrigin + planned}`;
      sent.push(one.collection.insertOne({ ...article(n), author }));
    }
    await Promise.all(sent);
    const done = await worker.until(({ events }) => events >= count, 20_000);
    // The first second warms up.
    const all = worker.latenciesMs.slice(200).toSorted((a, b) => a - b);
    const at = (share: number) =>
      all[Math.min(all.length - 1, Math.floor(all.length * share))]?.toFixed(2);
    say("latency", {
      insertsPerSecond: 1_000 / everyMs,
      count,
      exact: done.events === count,
      p50Ms: at(0.5),
      p90Ms: at(0.9),
      p99Ms: at(0.99),
      maxMs: at(1),
      sourceRssMB: megabytes(source.peakRssBytes()),
      load: loadavg()[0]?.toFixed(2),
    });
    await source.stop();
    await worker.stop();
    await one.drop();
  };

  try {
    const { version } = await client.db("admin").command({ buildInfo: 1 });
    say("machine", {
      cores: cpus().length,
      cpu: cpus()[0]?.model,
      load: loadavg()[0]?.toFixed(2),
      node: process.version,
      mongod: version,
      queue: redis ? "redis, appendfsync everysec" : "embedded",
      baseline: "mongodb driver, find and watch, every document decoded, same round",
      command: `npm run bench -- mongodb ${args.join(" ")}`,
    });
    for (const round of rounds) {
      if (only.has("copy")) await copy(round);
      if (only.has("inserts")) await streaming("inserts", round);
      if (only.has("updates")) await streaming("updates", round);
    }
    if (only.has("latency")) await latency(Number(values.latency));
    return 0;
  } finally {
    await set.stop();
    await redis?.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** About 600 bytes of natural-looking text. */
function article(id: number) {
  return {
    title: `Article number ${id}`,
    body: `The quick brown fox of ${id} jumps over a lazy dog. `.repeat(10),
    author: `author ${id % 1_000}`,
    tags: ["news", `topic ${id % 17}`],
    updatedAt: new Date(),
  };
}

async function insert(collection: Collection, count: number): Promise<void> {
  for (let from = 0; from < count; from += 1_000)
    await collection.insertMany(
      Array.from({ length: Math.min(1_000, count - from) }, (_, at) => article(from + at)),
    );
}

async function update(collection: Collection, count: number): Promise<void> {
  const { modifiedCount } = await collection.updateMany({}, { $set: { title: "Another title" } });
  if (modifiedCount !== count) throw new Error(`${modifiedCount} of ${count} were updated`);
}

function ratio(one: { perSecond: number }, baseline: { perSecond: number }): string {
  return (one.perSecond / baseline.perSecond).toFixed(2);
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
