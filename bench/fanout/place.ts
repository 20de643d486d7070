import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { openBackend, type Backend } from "../../core/backend.ts";
import type { Pipeline, Place } from "../../core/config/pipeline.ts";
import type { Log } from "../../core/connector.ts";
import { startRedis } from "../../test/redis-server.ts";

const warn = (fields: object, message: string) =>
  void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
export const log: Log = { debug: () => {}, info: () => {}, warn, error: warn };

/** Where a measurement takes place: fresh, and gone afterwards. */
export interface BenchPlace {
  readonly place: Place;
  /** Bytes that the place takes: of Redis' memory, or of the database with its log. */
  readonly bytes: () => Promise<number>;
  readonly remove: () => Promise<void>;
}

export async function openPlace(kind: "embedded" | "redis"): Promise<BenchPlace> {
  if (kind === "redis") {
    const server = await startRedis();
    const client = new Redis(server.url);
    return {
      place: { kind, url: server.url },
      bytes: async () => Number(/^used_memory:(\d+)/m.exec(await client.info("memory"))?.[1]),
      remove: async () => {
        client.disconnect();
        await server.stop();
      },
    };
  }
  const dir = await mkdtemp(join(tmpdir(), "sluice-fanout-"));
  return {
    place: { kind, dir },
    bytes: async () => {
      const names = await readdir(dir);
      const sizes = await Promise.all(
        names.map(async (name) => (await stat(join(dir, name))).size),
      );
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

export function pipelineAt(place: Place, more: Pick<Pipeline, "topics" | "connectors">): Pipeline {
  return { project: "fanout", queue: place, state: place, ...more };
}

export function openTopics(place: Place, maxWaiting: number): Promise<Backend> {
  const topics = { articles: { partitions: 4, optional: false, maxWaiting } };
  return openBackend(pipelineAt(place, { topics, connectors: [] }), { log });
}
