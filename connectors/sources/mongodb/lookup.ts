import type { Document } from "mongodb";
import { field, type Value } from "./bson.ts";
import { nameOf } from "./capture.ts";
import type { Change, Namespace } from "./change.ts";
import type { Options } from "./config.ts";
import type { Deployment } from "./deployment.ts";
import { toDriver } from "./key.ts";
import { keyText } from "./json.ts";
import { asInserts } from "./pipeline.ts";
import { ask, majority } from "./reply.ts";

export interface Lookup {
  /** The documents with these keys, by `keyText`, as they were at `after` or later. Absent ones are left out. */
  readonly read: (
    namespace: Namespace,
    keys: readonly Value[],
    after: bigint,
  ) => Promise<{
    readonly found: ReadonlyMap<string, Value>;
    /** None is as it was after this cluster time. */
    readonly time: bigint;
  }>;
  /** The same changes; what should have a document and came without one has it now, if it exists. */
  readonly complete: (changes: readonly Change[]) => Promise<readonly Change[]>;
}

/** Reads documents by key, many at a time. */
export function lookups(
  deployment: Deployment,
  options: Options,
  run: { readonly signal: AbortSignal },
): Lookup {
  const { bson, isSharded, client } = deployment;
  const read: Lookup["read"] = async (namespace, keys, after) => {
    const found = new Map<string, Value>();
    const wanted = new Map(keys.map((key) => [keyText(key), key]));
    if (wanted.size === 0) return { found, time: after };
    const { database } = namespace;
    const values = [...wanted.values()].map((key) => toDriver(key, bson));
    const command = commandOf(options, namespace, { _id: { $in: values } }, values.length);
    const session = client.startSession({ causalConsistency: false });
    const send = (what: Document) => ask(deployment, database, what, { ...run, session });
    try {
      let reply = await send({ ...command, readConcern: majority(after, bson) });
      for (;;) {
        for (const answer of reply.documents) {
          const document = documentIn(answer, options);
          const key = document && field(document, "_id");
          // Equal for the server is not the same: 1 and 1.0, or "a" and "A" under a collation.
          if (key) found.set(keyText(key), document);
        }
        if (reply.cursor === 0n) return { found, time: reply.time };
        const { cursor, collection } = reply;
        // Not all of them fit into 16 MB.
        reply = await send({ getMore: bson.Long.fromBigInt(cursor), collection });
      }
    } finally {
      await session.endSession();
    }
  };

  const complete: Lookup["complete"] = async (changes) => {
    const open = changes.filter((change) => isOpen(change, isSharded));
    if (open.length === 0) return changes;
    const groups = new Map<string, Change[]>();
    for (const change of open) {
      const name = change.namespace ? nameOf(change.namespace) : "";
      const group = groups.get(name);
      if (group) group.push(change);
      else groups.set(name, [change]);
    }
    const documents = new Map<Change, Value>();
    for (const group of groups.values()) {
      const namespace = group[0]?.namespace;
      if (!namespace) continue;
      const keys = group.flatMap(({ key }) => key ?? []);
      const after = group.reduce((latest, { time }) => (time > latest ? time : latest), 0n);
      const { found } = await read(namespace, keys, after);
      for (const change of group) {
        const document = change.key && found.get(keyText(change.key));
        if (document) documents.set(change, document);
      }
    }
    return changes.map((change) => {
      const document = documents.get(change);
      if (document) return { ...change, operation: settled(change.operation), document };
      return isOpen(change, isSharded) ? { ...change, document: undefined } : change;
    });
  };
  return { read, complete };
}

/**
 * A change that does not say what the record is now. Where there are shards, a document that moves between
 * them is deleted here and inserted there, in either order.
 */
function isOpen({ operation, document }: Change, isSharded: boolean): boolean {
  if (operation === "delete") return isSharded;
  if (operation !== "insert" && operation !== "update" && operation !== "replace") return false;
  // Stages of the user make a document of nothing; it has no `_id`.
  return document === undefined || field(document, "_id") === undefined;
}

function settled(operation: string): string {
  return operation === "delete" ? "update" : operation;
}

function commandOf(
  options: Options,
  namespace: Namespace,
  filter: Document,
  size: number,
): Document {
  const { collection } = namespace;
  if (options.pipeline.length === 0) return { find: collection, filter, batchSize: size };
  const pipeline = [{ $match: filter }, ...asInserts(options, namespace)];
  return { aggregate: collection, pipeline, cursor: { batchSize: size } };
}

function documentIn(answer: Value, { pipeline }: Options): Value | undefined {
  return pipeline.length === 0 ? answer : field(answer, "fullDocument");
}
