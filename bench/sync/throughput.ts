import { loadavg } from "node:os";
import { openHash } from "../../connectors/_shared/embedders/hash.ts";
import { docKeyOf } from "../../connectors/_shared/vector-sync/doc-key.ts";
import type { DocumentUpserted } from "../../core/event.ts";
import type { Server } from "../pinecone/server-process.ts";
import { chunkedOf } from "./documents.ts";
import { openSink } from "./sink.ts";
import { openTexts } from "./texts.ts";

const eventsAPublish = 1_000;

/** How fast what waits in the queue gets into an empty index. */
export async function measureThroughput(options: {
  readonly server: Server;
  readonly redis: string | undefined;
  readonly index: string;
  readonly records: number;
  readonly chunks: number;
  readonly dimensions: number;
  readonly partitions: number;
}) {
  const { server, records, chunks, dimensions } = options;
  const texts = openTexts(7);
  const documents = Array.from({ length: records }, (_, n) =>
    chunkedOf(
      `["${n}"]`,
      Array.from({ length: chunks }, () => texts.next()),
      n + 1,
    ),
  );
  const least = await leastBytes(documents.slice(0, 200), dimensions);
  const sink = await openSink({ ...options, url: server.url });
  try {
    for (let from = 0; from < records; from += eventsAPublish)
      await sink.publish(documents.slice(from, from + eventsAPublish));
    const [began, cpu, serverCpuMs] = [performance.now(), process.cpuUsage(), await server.cpuMs()];
    await sink.start();
    await sink.handled(records);
    const seconds = (performance.now() - began) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    const { vectors_written: written = 0, bytes_sent: sent = 0 } = flat(await sink.counters());
    return {
      dimensions,
      chunksARecord: chunks,
      records,
      recordsPerSecond: Math.round(records / seconds),
      vectorsPerSecond: Math.round(written / seconds),
      cpuUsARecord: Math.round((user + system) / records),
      serverCpuUsARecord: Math.round((((await server.cpuMs()) - serverCpuMs) * 1_000) / records),
      bytesAVector: Math.round(sent / written),
      bytesToLeast: ratio(sent / written, least.shortest),
      bytesToPlainJson: ratio(sent / written, least.plain),
      load: Number(loadavg()[0]?.toFixed(1)),
    };
  } finally {
    await sink.close();
  }
}

/**
 * Bytes a vector must take: its id, its values in the shortest decimals that give the same float32, its
 * text and the user's metadata, no request around it. And with the values as `JSON.stringify` writes them.
 */
async function leastBytes(documents: readonly DocumentUpserted[], dimensions: number) {
  const embedder = openHash(dimensions);
  const { signal } = new AbortController();
  let [shortest, plain, vectors] = [0, 0, 0];
  for (const { source, subject, data } of documents)
    for (const { id, text } of data.chunks ?? []) {
      const [values = new Float32Array()] = await embedder.embed([text], {
        input: "passage",
        signal,
      });
      const rest = {
        id: `${docKeyOf(source, subject)}#${id}`,
        metadata: { ...data.metadata, text },
      };
      const bytesWith = (numbers: readonly number[]) =>
        Buffer.byteLength(JSON.stringify({ ...rest, values: numbers }));
      shortest += bytesWith(Array.from(values, shortestOf));
      plain += bytesWith([...values]);
      vectors += 1;
    }
  return { shortest: shortest / vectors, plain: plain / vectors };
}

function shortestOf(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === value) return decimal;
  }
  return Number(value.toPrecision(9));
}

/** Counters with their labels summed up. */
export function flat(counters: Readonly<Record<string, number>>): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [key, value] of Object.entries(counters)) {
    const [name = ""] = key.split("{");
    sums[name] = (sums[name] ?? 0) + value;
  }
  return sums;
}

function ratio(a: number, b: number): number {
  return Math.round((a / b) * 1_000) / 1_000;
}
