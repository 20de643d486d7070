import type { Document } from "mongodb";
import type { Capture } from "./capture.ts";
import type { Options } from "./config.ts";
import { toTimestamp, type Deployment } from "./deployment.ts";
import { stagesOf, type Mode } from "./pipeline.ts";
import type { Position } from "./position.ts";
import { ask, forget, type Reply } from "./reply.ts";

/** Where a stream is opened, and how. */
export interface Place {
  readonly deployment: Deployment;
  readonly capture: Capture;
  readonly options: Options;
}

export interface Cursor {
  /** Without documents: they would come with the error that one of them may cause. */
  readonly first: Reply;
  readonly more: (awaitMs: number, size: number) => Promise<Reply>;
  readonly close: () => Promise<void>;
}

/**
 * Raw commands, not the driver's change stream: that one holds on to its server, and waits out two time-outs
 * when it is dead. These go to whoever is primary, which knows no such cursor after an election and says so.
 */
export async function openCursor(
  { deployment, capture, options }: Place,
  position: Position | undefined,
  mode: Mode,
  signal: AbortSignal,
): Promise<Cursor> {
  const { bson } = deployment;
  const { database, target, level, match } = capture;
  const { fullDocument, fullDocumentBeforeChange: before } = options;
  const own = fullDocument === "batchLookup" || mode === "lean";
  const start = position && startOf(position, deployment);
  const $changeStream: Document = {
    ...start,
    ...(level === "deployment" && { allChangesForCluster: true }),
    ...(!own && { fullDocument }),
    ...(before !== "off" && mode !== "lean" && { fullDocumentBeforeChange: before }),
  };
  const session = deployment.client.startSession({ causalConsistency: false });
  const run = { session, signal };
  const first = await ask(
    deployment,
    database,
    {
      aggregate: target,
      pipeline: [{ $changeStream }, ...stagesOf(options, match, mode)],
      cursor: { batchSize: 0 },
      readConcern: { level: "majority" },
    },
    run,
  ).catch(async (error: unknown) => {
    await session.endSession();
    throw error;
  });
  let last = first;
  return {
    first,
    more: async (maxTimeMS, size) => {
      const { collection, cursor } = first;
      const getMore = bson.Long.fromBigInt(cursor);
      last = await ask(
        deployment,
        database,
        { getMore, collection, batchSize: size, maxTimeMS },
        run,
      );
      return last;
    },
    close: async () => {
      // Not awaited: a server that is gone would hold up its successor.
      if (last.cursor !== 0n) void forget(deployment, database, last);
      await session.endSession();
    },
  };
}

function startOf(position: Position, { bson }: Deployment): Document {
  if ("time" in position) return { startAtOperationTime: toTimestamp(position.time, bson) };
  const { data, typeBits } = position.token;
  const token =
    typeBits === undefined
      ? { _data: data }
      : { _data: data, _typeBits: bson.Binary.createFromBase64(typeBits) };
  // Unlike `resumeAfter` it also takes the token of an invalidation.
  return { startAfter: token };
}
