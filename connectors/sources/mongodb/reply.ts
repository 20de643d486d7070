import type { BSON, ClientSession, Document } from "mongodb";
import { documentOf, fields, textAt, type Value } from "./bson.ts";
import { tokenAt } from "./change.ts";
import { toTime, toTimestamp, type Deployment } from "./deployment.ts";
import type { Token } from "./token.ts";

/** What a command with a cursor answered; its documents are left as bytes. */
export interface Reply {
  /** 0: the cursor has ended. */
  readonly cursor: bigint;
  /** To be named by `getMore`. */
  readonly collection: string;
  readonly documents: readonly Value[];
  /** Post-batch resume token: a change stream has passed this place. */
  readonly token: Token | undefined;
  /** A majority had all changes up to this cluster time when the command had run. */
  readonly time: bigint;
}

/** Sends a command that answers with a cursor. Nothing is decoded that nobody asks for. */
export async function ask(
  { client, terms }: Deployment,
  database: string,
  command: Document,
  run: { readonly session?: ClientSession; readonly signal: AbortSignal },
): Promise<Reply> {
  const signal = terms.within(run.signal);
  const answer = await client.db(database).command(command, { ...run, signal, raw: true });
  let cursor = 0n;
  let name = "";
  let token: Token | undefined;
  let documents: readonly Value[] = [];
  for (const [field, value] of fields(documentOf(answer["cursor"])))
    switch (field) {
      case "id":
        cursor = value.bytes.readBigInt64LE(value.at);
        break;
      case "ns":
        name = textAt(value.bytes, value.at);
        break;
      case "postBatchResumeToken":
        token = tokenAt(value.bytes, value.at);
        break;
      case "firstBatch":
      case "nextBatch":
        documents = [...fields(value)].map(([, one]) => one);
        break;
    }
  const collection = name.slice(name.indexOf(".") + 1);
  return { cursor, collection, documents, token, time: toTime(answer["operationTime"]) };
}

/** Of what a majority has, nothing older than `after`. */
export function majority(after: bigint, bson: typeof BSON): Document {
  if (after === 0n) return { level: "majority" };
  return { level: "majority", afterClusterTime: toTimestamp(after, bson) };
}

/** Gives a cursor up. Best effort: the server ends it by itself after ten minutes. */
export async function forget(
  { client, bson }: Deployment,
  database: string,
  { cursor, collection }: Pick<Reply, "cursor" | "collection">,
): Promise<void> {
  if (cursor === 0n) return;
  const command = { killCursors: collection, cursors: [bson.Long.fromBigInt(cursor)] };
  await client
    .db(database)
    .command(command)
    .catch(() => undefined); // see above
}
