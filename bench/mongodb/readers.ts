import type { Collection, Timestamp } from "mongodb";
import { mongodb } from "../../connectors/sources/mongodb/mongodb.ts";
import { versionClock } from "../../core/runtime/versions.ts";
import { fakes } from "../../core/testing/index.ts";

/** How long a reader took for its documents, and what it read. */
export interface Reading {
  readonly documents: number;
  readonly perSecond: number;
}

/** What the official driver alone does: every document decoded, then thrown away. */
export async function find(collection: Collection): Promise<Reading> {
  return timed(async (count) => {
    for await (const _ of collection.find({}, { batchSize: 1_000 })) count();
  });
}

/** The same of a change stream, from a cluster time on, until it has told of `limit` changes. */
export async function watch(
  collection: Collection,
  startAtOperationTime: Timestamp,
  limit: number,
): Promise<Reading> {
  const options = { startAtOperationTime, fullDocument: "updateLookup", batchSize: 1_000 };
  const stream = collection.watch([], options);
  try {
    return await timed(async (count) => {
      for await (const _ of stream) if (count() === limit) return;
    });
  } finally {
    await stream.close();
  }
}

/** The source alone, its events thrown away: from a checkpoint, or a copy. Until it has told of `limit` documents. */
export async function readSource(
  config: object,
  { checkpoint, limit }: { readonly checkpoint?: unknown; readonly limit: number },
): Promise<Reading & { readonly checkpoint: unknown }> {
  const aborter = new AbortController();
  const reading = mongodb.read({
    ...fakes.context({ config: mongodb.config.parse(config), signal: aborter.signal }),
    checkpoint,
    nextVersion: versionClock(1),
    settled: async () => {},
    refuse: async () => {},
    tap: async () => (async function* () {})(),
    givenUp: async () => [],
    requests: (async function* () {})(),
    progress: () => {},
  });
  let last: unknown;
  const read = await timed(async (count) => {
    for await (const { events, checkpoint: next } of reading) {
      last = next;
      if (count(events.length) >= limit) return;
    }
  });
  aborter.abort();
  return { ...read, checkpoint: last };
}

async function timed(read: (count: (more?: number) => number) => Promise<void>): Promise<Reading> {
  let documents = 0;
  const began = performance.now();
  await read((more = 1) => (documents += more));
  const seconds = (performance.now() - began) / 1_000;
  return { documents, perSecond: Math.round(documents / seconds) };
}
