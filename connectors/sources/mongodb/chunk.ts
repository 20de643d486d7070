import type { ClientSession, Document } from "mongodb";
import { field, type, type Value } from "./bson.ts";
import type { Namespace } from "./change.ts";
import type { Options } from "./config.ts";
import type { Deployment } from "./deployment.ts";
import { keyText } from "./json.ts";
import { toDriver } from "./key.ts";
import type { Lookup } from "./lookup.ts";
import { ask, forget, majority, type Reply } from "./reply.ts";

/** A stretch of a collection in the order of `_id`, up to before `until`. */
export interface Range {
  /** Where it begins, this key included; with `after`, behind that one. */
  readonly from?: Value | undefined;
  readonly after?: Value | undefined;
  readonly until?: Value | undefined;
}

/** What was read of a range at once. */
export interface Chunk {
  /** By `keyText`, in the order of `_id`. */
  readonly documents: Map<string, Value>;
  /** The last key that was looked at: goes on behind it. */
  readonly last: Value | undefined;
  /** Nothing is behind it. */
  readonly isLast: boolean;
  /** No document is as it was after this cluster time. */
  readonly time: bigint;
}

export interface ChunkRun {
  readonly namespace: Namespace;
  /** The documents are as they were then, or later. */
  readonly after: bigint;
  /** For the server to apply, where it compares texts as we do. */
  readonly filter: Document | undefined;
  readonly signal: AbortSignal;
}

/**
 * Reads the next documents of a range. Bounds by index, not by comparison: `$gt: 7` would never find a text or
 * an ObjectId, since comparisons stay within a type.
 */
export async function readChunk(
  { deployment, options }: { readonly deployment: Deployment; readonly options: Options },
  lookup: Lookup,
  range: Range,
  run: ChunkRun,
): Promise<Chunk> {
  // Behind the highest of all keys there is nothing, and the server refuses such a bound.
  if (range.after?.type === type.maxKey)
    return { documents: new Map(), last: range.after, isLast: true, time: run.after };
  const { client } = deployment;
  const session = client.startSession({ causalConsistency: false });
  try {
    const { reply, isLast } = await find(deployment, options, range, { ...run, session });
    const bound = range.after && keyText(range.after);
    const documents = new Map<string, Value>();
    let last = range.after;
    for (const document of reply.documents) {
      const key = field(document, "_id");
      if (!key) continue;
      last = key;
      const text = keyText(key);
      if (text !== bound) documents.set(text, document);
    }
    const read = { documents, last, isLast, time: reply.time };
    return options.pipeline.length === 0 ? read : await throughPipeline(read, lookup, run);
  } finally {
    await session.endSession();
  }
}

async function find(
  deployment: Deployment,
  options: Options,
  range: Range,
  run: ChunkRun & { readonly session: ClientSession },
): Promise<{ readonly reply: Reply; readonly isLast: boolean }> {
  const { bson } = deployment;
  const { namespace, after, filter, session, signal } = run;
  const { database, collection } = namespace;
  const send = (command: Document) => ask(deployment, database, command, { session, signal });
  const start = range.after ?? range.from;
  // The lower bound is included: one more, which is dropped.
  const limit = options.chunkDocuments + (range.after ? 1 : 0);
  const readConcern = majority(after, bson);
  const onlyKeys = options.pipeline.length > 0;
  let reply = await send({
    find: collection,
    hint: { _id: 1 },
    sort: { _id: 1 },
    ...(start && { min: { _id: toDriver(start, bson) } }),
    ...(range.until && { max: { _id: toDriver(range.until, bson) } }),
    ...(onlyKeys ? { projection: { _id: 1 } } : projectionOf(options)),
    ...(filter && !onlyKeys && { filter }),
    limit,
    batchSize: limit,
    readConcern,
  });
  // 16 MB are full before the limit is reached, maybe with the bound alone.
  if (reply.cursor !== 0n && reply.documents.length <= 1 && range.after) {
    const getMore = bson.Long.fromBigInt(reply.cursor);
    const next = await send({ getMore, collection, batchSize: limit });
    reply = { ...next, documents: [...reply.documents, ...next.documents] };
  }
  const isLast = reply.cursor === 0n && reply.documents.length < limit;
  await forget(deployment, database, reply);
  if (!isLast || !start || range.until) return { reply, isLast };
  // A lower bound brings along an upper one that leaves out the highest of all keys.
  const highest = await send({ find: collection, filter: { _id: new bson.MaxKey() }, readConcern });
  return { reply: { ...reply, documents: [...reply.documents, ...highest.documents] }, isLast };
}

/** The keys were read; their documents go the way that the stream's go. */
async function throughPipeline(read: Chunk, lookup: Lookup, run: ChunkRun): Promise<Chunk> {
  const keys = [...read.documents.values()].flatMap((document) => field(document, "_id") ?? []);
  const { found, time } = await lookup.read(run.namespace, keys, read.time);
  const documents = [...read.documents.keys()].flatMap((text): [string, Value][] => {
    const document = found.get(text);
    return document ? [[text, document]] : [];
  });
  return { ...read, documents: new Map(documents), time };
}

/** The key always comes along. A filter that is ours to apply may need any field. */
function projectionOf({ projection, filter }: Options): Document {
  if (projection === undefined || filter !== undefined) return {};
  const { _id, ...others } = projection;
  return Object.keys(others).length === 0 ? {} : { projection: others };
}
