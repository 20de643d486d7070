import { mkdtemp, rm, stat } from "node:fs/promises";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median, percentile } from "./pinecone/figures.ts";
import { makeVectors, upsertBodies } from "./pinecone/load.ts";
import { startServer, type Server } from "./pinecone/server-process.ts";

const usage = `bench pinecone: the local Pinecone-compatible server, in a process of its own, over HTTP.

  --vectors N       (100000)
  --dimensions N    (384)
  --batch N         vectors an upsert (200)
  --in-flight N     upserts sent at once (4)
  --queries N       of each kind, a round (100)
  --rounds N        (3)
  --json            one JSON line a round, then one for all
`;

interface Options {
  readonly vectors: number;
  readonly dimensions: number;
  readonly batch: number;
  readonly inFlight: number;
  readonly queries: number;
}

const topK = 10;
/** Of 100 languages, of 10 and of all vectors. */
const filters = {
  none: undefined,
  one_percent: { group: { $eq: 7 } },
  ten_percent: { lang: { $in: ["de"] } },
  negated: { $and: [{ lang: { $ne: "de" } }, { group: { $gte: 50 } }] },
} as const;

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      vectors: { type: "string", default: "100000" },
      dimensions: { type: "string", default: "384" },
      batch: { type: "string", default: "200" },
      "in-flight": { type: "string", default: "4" },
      queries: { type: "string", default: "100" },
      rounds: { type: "string", default: "3" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const options = {
    vectors: Number(values.vectors),
    dimensions: Number(values.dimensions),
    batch: Number(values.batch),
    inFlight: Number(values["in-flight"]),
    queries: Number(values.queries),
  };
  const print = (value: object): void => {
    if (values.json) process.stdout.write(`${JSON.stringify(value)}\n`);
    else console.table(value);
  };
  print({
    benchmark: "pinecone",
    command: `node dist/bench/pinecone.js ${args.join(" ")}`.trim(),
    node: process.version,
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    memoryGb: Math.round(totalmem() / 1e9),
    load: loadavg()[0],
    ...options,
    topK,
  });
  const rounds: Readonly<Record<string, number>>[] = [];
  for (let round = 1; round <= Number(values.rounds); round++) {
    process.stderr.write(`round ${round} …\n`);
    const result = await runRound(options);
    rounds.push(result);
    if (values.json) print({ round, ...result });
  }
  const names = Object.keys(rounds[0] ?? {});
  print({
    rounds: rounds.length,
    ...Object.fromEntries(
      names.map((name) => [name, median(rounds.map((round) => round[name] ?? NaN))]),
    ),
  });
  return 0;
}

async function runRound(options: Options): Promise<Readonly<Record<string, number>>> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-pinecone-"));
  let server: Server | undefined;
  try {
    server = await startServer(dir);
    await server.call("POST", "/indexes", {
      name: "bench",
      dimension: options.dimensions,
      metric: "cosine",
      spec: { serverless: { cloud: "aws", region: "us-east-1" } },
    });
    const written = await measureUpserts(server, options);
    const rssAfterUpserts = await server.rssMb();
    const first = await measureQueries(server, options);
    const rssAfterQueries = await server.rssMb();
    await server.stop();
    const { size } = await stat(join(dir, "pinecone.db"));
    const restarted = performance.now();
    server = await startServer(dir);
    await server.call("POST", "/i/bench/describe_index_stats", {});
    const restartMs = Math.round(performance.now() - restarted);
    const query = queryBody(options, 1);
    const asked = performance.now();
    await server.call("POST", "/i/bench/query", query);
    const firstQueryAfterRestartMs = Math.round(performance.now() - asked);
    return {
      ...written,
      ...first,
      restartMs,
      firstQueryAfterRestartMs,
      fileMb: Math.round(size / 1e6),
      rssAfterUpserts,
      rssAfterQueries,
    };
  } finally {
    await server?.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

/** Of bodies encoded before: what the client costs is not measured. */
async function measureUpserts(server: Server, options: Options) {
  const slice = 20_000;
  let tookMs = 0;
  const cpuMs = await server.cpuMs();
  for (let at = 0; at < options.vectors; at += slice) {
    const count = Math.min(slice, options.vectors - at);
    const bodies = [...upsertBodies({ ...options, first: at, count })];
    const started = performance.now();
    const send = async (): Promise<void> => {
      for (let body = bodies.pop(); body !== undefined; body = bodies.pop())
        await server.call("POST", "/i/bench/vectors/upsert", body);
    };
    await Promise.all(Array.from({ length: options.inFlight }, send));
    tookMs += performance.now() - started;
  }
  const usedMs = (await server.cpuMs()) - cpuMs;
  return {
    upsertsPerSecond: Math.round(options.vectors / (tookMs / 1e3)),
    upsertCpuUs: round((usedMs * 1e3) / options.vectors),
  };
}

async function measureQueries(server: Server, options: Options) {
  const figures: Record<string, number> = {};
  for (const [name, filter] of Object.entries(filters)) {
    const times: number[] = [];
    let cpuMs = 0;
    for (let at = 0; at < options.queries; at++) {
      // The first one fills the memory.
      if (at === 1) cpuMs = await server.cpuMs();
      const body = { ...queryBody(options, at), ...(filter && { filter }) };
      const started = performance.now();
      await server.call("POST", "/i/bench/query", body);
      times.push(performance.now() - started);
    }
    figures[`${name}FirstMs`] = round(times.shift() ?? NaN);
    figures[`${name}CpuMs`] = round(((await server.cpuMs()) - cpuMs) / times.length);
    figures[`${name}P50Ms`] = round(percentile(times, 0.5));
    figures[`${name}P99Ms`] = round(percentile(times, 0.99));
  }
  return figures;
}

function queryBody({ dimensions }: Options, at: number) {
  const [vector] = makeVectors({ dimensions, first: 1e9 + at, count: 1 });
  return { topK, vector: vector?.values, includeMetadata: true };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

if (import.meta.filename === process.argv[1]) process.exitCode = await main(process.argv.slice(2));
