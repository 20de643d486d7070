import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startServer } from "./pinecone/server-process.ts";
import { editsOf, measureEdits, ratios } from "./sync/edits.ts";
import { langChainKeeper, loadLangChain } from "./sync/langchain-keeper.ts";
import { sluiceKeeper } from "./sync/sluice-keeper.ts";
import { measureThroughput } from "./sync/throughput.ts";
import { openTraffic } from "./sync/traffic.ts";

const usage = `bench sync: the Pinecone sink from queue to index, with the hash embedder, against \`sluice pinecone\`.

Throughput: records wait in the queue; how fast are they in the index, and what is sent for them.
Edits: a document of many chunks changes; what is embedded, written and sent for each change, and for
the same changes through LangChain JS \`index()\` into the same server, where it is installed.

  --records N        one-chunk records (20000)
  --chunked N        records of 10 chunks (2000)
  --dimensions LIST  (384,1536)
  --partitions N     (4)
  --edits N          of a paragraph of a document of 100 chunks (20); 0: no edits
  --rounds N         of the throughput; the median by records/s is told (3)
  --redis URL        queue and state on Redis; embedded by default
  --langchain DIR    where @langchain/core is installed (.)
  --json             JSON lines
`;

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      records: { type: "string", default: "20000" },
      chunked: { type: "string", default: "2000" },
      dimensions: { type: "string", default: "384,1536" },
      partitions: { type: "string", default: "4" },
      edits: { type: "string", default: "20" },
      rounds: { type: "string", default: "3" },
      redis: { type: "string" },
      langchain: { type: "string", default: "." },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const print = (value: object): void => {
    if (values.json) process.stdout.write(`${JSON.stringify(value)}\n`);
    else console.table(value);
  };
  print({
    benchmark: "sync",
    command: `node dist/bench/main.js sync ${args.join(" ")}`.trim(),
    node: process.version,
    cores: cpus().length,
    cpu: cpus()[0]?.model,
    load: loadavg()[0],
    queue: values.redis ? "redis" : "embedded",
  });
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-sync-server-"));
  const server = await startServer(dir);
  try {
    for (const dimensions of values.dimensions.split(",").map(Number))
      for (const [chunks, records] of [
        [1, Number(values.records)],
        [10, Number(values.chunked)],
      ] as const) {
        if (records === 0) continue;
        const rounds: Awaited<ReturnType<typeof measureThroughput>>[] = [];
        for (let round = 1; round <= Number(values.rounds); round++)
          rounds.push(
            await measureThroughput({
              server,
              redis: values.redis,
              index: `d${dimensions}-c${chunks}-r${round}`,
              records,
              chunks,
              dimensions,
              partitions: Number(values.partitions),
            }),
          );
        rounds.sort((a, b) => a.recordsPerSecond - b.recordsPerSecond);
        print({ measured: "throughput", ...rounds[rounds.length >> 1], rounds: rounds.length });
      }
    const [dimensions = 384] = values.dimensions.split(",").map(Number);
    if (Number(values.edits) > 0)
      await compareEdits({
        ...values,
        url: server.url,
        dimensions,
        count: Number(values.edits),
        print,
      });
    return 0;
  } finally {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

const paragraphs = 100;

async function compareEdits(options: {
  readonly url: string;
  readonly dimensions: number;
  readonly count: number;
  readonly redis?: string;
  readonly langchain: string;
  readonly print: (value: object) => void;
}): Promise<void> {
  const { url, dimensions, count, redis, print } = options;
  const traffic = openTraffic();
  const { taken } = traffic;
  try {
    const ours = await sluiceKeeper({ url, dimensions, redis, taken });
    const mine = await measureEdits(ours, editsOf(paragraphs, count));
    for (const [kind, cost] of Object.entries(mine))
      print({ measured: "edit", by: "sluice", kind, dimensions, ...cost });
    const langChain = await loadLangChain(options.langchain);
    if (langChain === undefined) {
      process.stderr.write(
        "bench sync: no @langchain/core to compare with. Install it in a folder of its own and name that with --langchain.\n",
      );
      return;
    }
    const { version } = langChain;
    const theirs = await langChainKeeper(langChain, { url, dimensions, taken });
    const other = await measureEdits(theirs, editsOf(paragraphs, count));
    for (const [kind, cost] of Object.entries(other)) {
      print({ measured: "edit", by: `langchain ${version}`, kind, dimensions, ...cost });
      const own = mine[kind];
      if (own) print({ measured: "ratio", of: "langchain to sluice", kind, ...ratios(cost, own) });
    }
  } finally {
    traffic.close();
  }
}

if (import.meta.filename === process.argv[1]) process.exitCode = await main(process.argv.slice(2));
