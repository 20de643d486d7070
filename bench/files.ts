import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Pinecone } from "@pinecone-database/pinecone";
import { startLocalPinecone } from "../connectors/sinks/pinecone/local/server.ts";
import { startPart } from "./parts/part.ts";
import { sayer, sayMachine } from "./parts/say.ts";

const usage = `bench files: a folder of generated Markdown, from the first scan to the index, and then writes one by one.

One process runs source, parse, chunk, embed and sink on the embedded queue; the index is another process of this machine
(\`sluice pinecone\`). Chunks are counted in the index. Write → searchable: from the write of a file until a query
by the official client finds its new text. Memory is told by thirds of the first sync: the resident set at its largest, and
what the heap still held after it was collected, which is what grows where something leaks.

  --files N       Markdown files of about five sections (10000)
  --writes N      files written one by one afterwards (100)
  --embedder E    hash | local (hash); local is MiniLM: take 500 files
  --json          one JSON line each
`;

const words =
  "river stone lantern harbour copper meadow signal winter thread orchard quarry beacon timber".split(
    " ",
  );
const sections = 5;

export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      files: { type: "string", default: "10000" },
      writes: { type: "string", default: "100" },
      embedder: { type: "string", default: "hash" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const say = sayer(values.json);
  const [files, writes] = [Number(values.files), Number(values.writes)];
  sayMachine(say);
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-files-"));
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir: join(dir, "index") });
  try {
    await mkdir(join(dir, "notes"));
    for (let n = 0; n < files; n++) await writeFile(join(dir, "notes", `${n}.md`), textOf(n));
    const client = new Pinecone({ apiKey: "any", controllerHostUrl: server.url });
    const part = await startPart(join(dir, "sluice.json"), {
      project: "files",
      queue: `embedded:${join(dir, "queue")}`,
      connectors: [
        { name: "folder", source: "file", to: "files", config: { path: join(dir, "notes") } },
        {
          name: "search",
          sink: "pinecone",
          from: "files",
          transforms: [{ use: "parse" }, { use: "chunk" }],
          config: {
            index: "notes",
            apiKey: "any",
            url: server.url,
            create: true,
            embedding: { provider: values.embedder },
          },
        },
      ],
    });
    try {
      const thirds = [0, 1, 2].map(() => ({ rss: 0, liveHeap: 0 }));
      const deadline = performance.now() + 3_600_000;
      for (let written = 0; written < files; await sleep(50)) {
        const report = part.last();
        written = report?.written ?? 0;
        const third = thirds[Math.floor((3 * written) / files)];
        if (report && third) {
          third.rss = Math.max(third.rss, report.rssBytes);
          third.liveHeap = Math.max(third.liveHeap, report.liveHeapBytes);
        }
        if (performance.now() > deadline) throw new Error(`only ${written} of ${files} files`);
      }
      const seconds = (performance.timeOrigin + performance.now() - part.startedMs) / 1_000;
      const chunks = await vectorsIn(client);
      say("first sync", {
        files,
        chunks,
        seconds: Number(seconds.toFixed(1)),
        filesPerSecond: Number((files / seconds).toFixed(1)),
        chunksPerSecond: Number((chunks / seconds).toFixed(1)),
        rssMiBByThirds: thirds.map(({ rss }) => mib(rss)),
        liveHeapMiBByThirds: thirds.map(({ liveHeap }) => mib(liveHeap)),
        rssMiBPeak: mib(part.peakRssBytes()),
      });
      const latencies: number[] = [];
      for (let n = 0; n < writes; n++) latencies.push(await writeToSearchable(dir, n, client));
      latencies.sort((a, b) => a - b);
      say("write to searchable", {
        writes,
        p50Ms: Math.round(percentile(latencies, 0.5)),
        p99Ms: Math.round(percentile(latencies, 0.99)),
        rssMiBPeak: mib(part.peakRssBytes()),
      });
    } finally {
      await part.stop();
    }
  } finally {
    await server.close();
    await rm(dir, { recursive: true, force: true });
  }
  return 0;
}

function textOf(n: number): string {
  return Array.from({ length: sections }, (_, at) => {
    const some = Array.from({ length: 40 }, (_, w) => words[(n * 7 + at * 3 + w) % words.length]);
    return `## ${words[at]} ${n}\n\nNote ${n}, section ${at}: ${some.join(" ")}.`;
  }).join("\n\n");
}

async function vectorsIn(client: Pinecone): Promise<number> {
  const stats = await client.index("notes").describeIndexStats();
  return stats.totalRecordCount ?? 0;
}

/** Writes a file, and looks for the vector of its text by its metadata until it is found. */
async function writeToSearchable(dir: string, n: number, client: Pinecone): Promise<number> {
  const mark = `written-${n}.md`;
  const index = client.index("notes");
  const { dimension = 384 } = await client.describeIndex("notes");
  const vector = Array.from({ length: dimension }, () => 1);
  const from = performance.now();
  await writeFile(join(dir, "notes", mark), `# Written ${n}\n\n${textOf(n + 1_000_000)}`);
  for (;;) {
    const filter = { _subject: mark };
    const { matches } = await index.query({ vector, topK: 1, filter });
    if (matches.length > 0) return performance.now() - from;
    if (performance.now() - from > 60_000) throw new Error(`${mark} was not found in 60 s`);
    await sleep(5);
  }
}

function percentile(sorted: readonly number[], at: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? 0;
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
