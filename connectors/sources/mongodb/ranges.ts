import { field, type, type Value } from "./bson.ts";
import type { Range } from "./chunk.ts";
import type { Existing } from "./collections.ts";
import type { Options } from "./config.ts";
import type { Deployment } from "./deployment.ts";
import { keyText } from "./json.ts";
import { ask } from "./reply.ts";

const samplesPerRange = 20;
/** Fewer chunks a range than this are not worth a sample. */
const leastChunks = 4;

/** About how many documents there are. */
export async function countOf({ client }: Deployment, { namespace }: Existing): Promise<number> {
  const { database, collection } = namespace;
  return client.db(database).collection(collection).estimatedDocumentCount();
}

/**
 * Cuts a collection into ranges of `_id` of about equal size, by a sample that the server sorts: so in the
 * order of BSON, whatever types there are.
 */
export async function split(
  deployment: Deployment,
  { namespace }: Existing,
  count: number,
  options: Options,
  run: { readonly signal: AbortSignal },
): Promise<readonly Range[]> {
  const { parallel, chunkDocuments } = options;
  const parts = Math.min(parallel, Math.floor(count / (leastChunks * chunkDocuments)));
  if (parts < 2) return [{}];
  const size = parts * samplesPerRange;
  const command = {
    aggregate: namespace.collection,
    pipeline: [{ $sample: { size } }, { $project: { _id: 1 } }, { $sort: { _id: 1 } }],
    cursor: { batchSize: size + 1 },
  };
  const { documents } = await ask(deployment, namespace.database, command, run);
  const keys = documents.flatMap((document) => field(document, "_id") ?? []);
  const bounds = new Map<string, Value>();
  for (let part = 1; part < parts; part++) {
    const key = keys[Math.floor((part * keys.length) / parts)];
    // The lowest and the highest of all keys bound nothing, and the server refuses them.
    const isBound = key && key.type !== type.minKey && key.type !== type.maxKey;
    if (isBound) bounds.set(keyText(key), key);
  }
  const all = [...bounds.values()];
  return [{ until: all[0] }, ...all.map((from, at) => ({ from, until: all[at + 1] }))];
}
