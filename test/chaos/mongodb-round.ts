import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { BSON, type Db } from "mongodb";
import { sourceOf } from "../../connectors/sources/mongodb/capture.ts";
import type { Loose } from "../../connectors/sources/mongodb/harness.ts";
import { render } from "../../connectors/transforms/render/render.ts";
import { upserted, type JsonObject, type RecordUpserted } from "../../core/event.ts";
import { version } from "../../core/version.ts";
import type { ReplicaSet } from "../mongod.ts";
import type { RedisServer } from "../redis-server.ts";
import { captured, changingCollections, fillCollections } from "./collections.ts";
import { documentsOf } from "./oracle.ts";
import { startPipelineProcess, type PipelineProcess } from "./pipeline-process.ts";
import { seeded } from "./random.ts";
import type { RoundResult } from "./round.ts";
import { settle } from "./settle.ts";

/** A backlog of single changes is a write each. */
const settleWithinMs = (changes: number) => 90_000 + 60 * changes;
const rendering = { template: "{{ title }}\n\n{{ body }}", missing: "empty" };
const connector = "database";
const cli = fileURLToPath(new URL("../../cli/main.js", import.meta.url));
/** What a round meets. The primary is killed, replaced while it lives, or stopped with its sockets open. */
const kinds = ["ours", "ours", "ours", "kill", "step-down", "freeze", "snapshot"] as const;
type Hit = (typeof kinds)[number] | "redis";

/**
 * Plays one round: random changes while our process, the primary and Redis are hit at random moments, and
 * snapshots asked for; in the end the index must equal what `find` tells of the captured collections. Seeds
 * differ in how documents are looked up and filtered.
 */
export async function playMongodbRound(options: {
  readonly dir: string;
  readonly seed: number;
  readonly changes: number;
  readonly kills: number;
  /** Of three members. */
  readonly set: ReplicaSet;
  readonly redis: RedisServer | undefined;
}): Promise<RoundResult> {
  const { dir, seed, changes, kills, set, redis } = options;
  const random = seeded(seed);
  const project = `chaos-${seed}`;
  const filter = seed % 3 === 0 ? { hidden: { $ne: true } } : undefined;
  const config = join(dir, "sluice.json");
  const log = join(dir, "log.ndjson");
  await mkdir(dir, { recursive: true });
  await writeFile(
    config,
    JSON.stringify(
      pipelineFile({ project, url: set.url, queue: redis?.url, seed, filter }),
      null,
      2,
    ),
  );
  const client = set.client({
    serverSelectionTimeoutMS: 10_000,
    heartbeatFrequencyMS: 500,
    // A frozen server answers nothing and closes nothing.
    socketTimeoutMS: 3_000,
    writeConcern: { w: "majority", journal: true },
  });
  const database = client.db(project);
  await fillCollections(database);
  const collections = changingCollections(client, project, random);
  const possible: readonly Hit[] = redis ? [...kinds, "redis"] : kinds;
  const planned = new Map<number, Hit>();
  for (let n = 0; n < kills; n++) planned.set(random.below(changes), random.pick(possible));

  let pipeline: PipelineProcess = startPipelineProcess(config, log);
  const unseen = async () => {
    for (let left = random.below(20); left > 0; left--) await collections.change();
  };
  const hit = async (what: Hit): Promise<void> => {
    switch (what) {
      case "ours":
        await pipeline.kill();
        await unseen();
        pipeline = startPipelineProcess(config, log);
        return;
      case "kill": {
        const primary = await set.primary();
        await primary.kill();
        await unseen();
        return primary.start();
      }
      case "freeze": {
        const primary = await set.primary();
        await primary.kill("SIGSTOP");
        await unseen();
        return primary.kill("SIGCONT");
      }
      case "step-down":
        // Where the others lag behind it does not; then nothing happens.
        await client
          .db("admin")
          .command({ replSetStepDown: 2 })
          .catch(() => undefined);
        return;
      case "snapshot":
        return askForSnapshot(config);
      case "redis":
        return redis?.restart();
    }
  };

  const hits: Partial<Record<Hit, number>> = {};
  try {
    for (let change = 0; change < changes; change++) {
      await collections.change(change > changes - 60);
      if (random.next() < 0.1) await sleep(random.below(20));
      const what = planned.get(change);
      if (what === undefined) continue;
      await sleep(random.below(1_500));
      await hit(what);
      hits[what] = (hits[what] ?? 0) + 1;
      if (!pipeline.isRunning()) break;
    }

    const settled = await settle({
      dir,
      index: "documents",
      project,
      redisUrl: redis?.url,
      pipeline,
      wanted: async () => {
        const records = await recordsOf(database, filter);
        const documents = await documentsOf(records, render, rendering);
        return { records: records.length, documents };
      },
      withinMs: settleWithinMs(changes),
    });
    const done = Object.values(hits).reduce((sum, count) => sum + count, 0);
    return { seed, kills: done, hits, changes, ...settled };
  } finally {
    await pipeline.kill();
    await database.dropDatabase().catch(() => undefined); // the next round has another one
    await client.close();
  }
}

/** `sluice snapshot`, of one collection or of all; a source that is just being started hears of it later. */
async function askForSnapshot(config: string): Promise<void> {
  const child = spawn(process.execPath, [cli, "snapshot", connector, config], { stdio: "ignore" });
  await once(child, "exit");
}

/** Every document as the source would tell it; after all writes that a majority may still get. */
async function recordsOf(
  database: Db,
  filter: object | undefined,
): Promise<readonly RecordUpserted[]> {
  await database.collection("elsewhere").insertOne({ last: "word" });
  const records: RecordUpserted[] = [];
  for (const name of captured) {
    const found = database
      .collection<Loose>(name, { readConcern: { level: "majority" } })
      .find(filter ?? {}, { promoteValues: false });
    for await (const document of found) {
      const subject = BSON.EJSON.stringify(document._id, { relaxed: false });
      const after = JSON.parse(BSON.EJSON.stringify(document)) as JsonObject;
      records.push(
        upserted({
          source: sourceOf(connector, { database: database.databaseName, collection: name }),
          key: {},
          subject,
          version: version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
          time: new Date().toISOString(),
          op: "read",
          after,
          meta: {},
        }),
      );
    }
  }
  return records;
}

function pipelineFile(options: {
  readonly project: string;
  readonly url: string;
  readonly queue: string | undefined;
  readonly seed: number;
  readonly filter: object | undefined;
}): object {
  const { project, url, queue = "embedded", seed, filter } = options;
  return {
    project,
    queue,
    connectors: [
      {
        name: connector,
        source: "mongodb",
        to: "documents",
        config: {
          url,
          collections: captured.map((name) => `${project}.${name}`),
          chunkDocuments: 10,
          heartbeatMs: 1_000,
          fullDocument: seed % 2 === 0 ? "updateLookup" : "batchLookup",
          ...(filter && { filter }),
        },
      },
      {
        name: "search",
        sink: "pinecone",
        from: "documents",
        transforms: [
          { use: "render", config: rendering },
          { use: "chunk", config: { maxTokens: 60 } },
        ],
        config: {
          index: "documents",
          local: ".sluice/pinecone",
          embedding: { provider: "hash" },
          // Here a dropped collection is no accident.
          maxDeleteRatio: 1,
        },
      },
    ],
  };
}
