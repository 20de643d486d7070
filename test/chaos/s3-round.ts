import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeBucket, type TestBucket } from "../../connectors/sources/s3/harness.ts";
import { makeQueue } from "../../connectors/sources/s3/notifications/harness.ts";
import { parse } from "../../connectors/transforms/parse/parse.ts";
import { upserted, type RecordUpserted } from "../../core/event.ts";
import { version } from "../../core/version.ts";
import type { Ministack } from "../s3-servers.ts";
import { changingBucket } from "./bucket.ts";
import { documentsOf } from "./oracle.ts";
import { startPipelineProcess, type PipelineProcess } from "./pipeline-process.ts";
import { seeded } from "./random.ts";
import type { RoundResult } from "./round.ts";
import { settle } from "./settle.ts";

const settleWithinMs = 90_000;
const parsing = { rows: { key: ["id"] } };

/**
 * Plays one round: objects change while the pipeline is killed at random moments; in the end the index must
 * equal the bucket, a row of a table being a document. With an odd seed the source is told by a queue,
 * and lists only when it starts.
 */
export async function playS3Round(options: {
  readonly dir: string;
  readonly seed: number;
  readonly changes: number;
  readonly kills: number;
  /** `embedded` or a Redis URL. */
  readonly queue: string;
  readonly server: Ministack;
}): Promise<RoundResult> {
  const { dir, seed, changes, kills, queue, server } = options;
  const random = seeded(seed);
  const project = `chaos-${seed}`;
  const bucket = await makeBucket(server);
  const told = seed % 2 === 1 ? await makeQueue(server, bucket) : undefined;
  const config = join(dir, "sluice.json");
  await mkdir(dir, { recursive: true });
  await writeFile(
    config,
    JSON.stringify(pipelineFile({ project, queue, bucket, queueUrl: told?.url }), null, 2),
  );
  const changing = changingBucket(bucket, random, 100);
  const killAt = new Set(Array.from({ length: kills }, () => random.below(changes)));

  const log = join(dir, "log.ndjson");
  let pipeline: PipelineProcess = startPipelineProcess(config, log);
  let killed = 0;
  try {
    for (let change = 0; change < changes; change++) {
      await changing.change();
      if (random.next() < 0.25) await sleep(random.below(40));
      if (!killAt.has(change)) continue;
      await sleep(random.below(2_000));
      await pipeline.kill();
      killed += 1;
      for (let unseen = random.below(8); unseen > 0; unseen--) await changing.change();
      pipeline = startPipelineProcess(config, log);
    }

    const settled = await settle({
      dir,
      index: "objects",
      project,
      redisUrl: queue === "embedded" ? undefined : queue,
      pipeline,
      wanted: async () => ({
        records: changing.objects.size,
        documents: await documentsOf(recordsOf(changing.objects), parse, parsing),
      }),
      withinMs: settleWithinMs,
    });
    return { seed, kills: killed, changes, ...settled };
  } finally {
    await pipeline.kill();
    bucket.client.destroy();
  }
}

/** Every object as the source would tell it. */
function recordsOf(objects: ReadonlyMap<string, string>): readonly RecordUpserted[] {
  return [...objects].map(([key, text]) =>
    upserted({
      source: "/s3/bucket",
      key: { key },
      subject: key,
      version: version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
      time: new Date().toISOString(),
      op: "read",
      after: { uri: key, mediaType: key.endsWith(".csv") ? "text/csv" : "text/markdown", text },
      meta: {},
    }),
  );
}

function pipelineFile(options: {
  readonly project: string;
  readonly queue: string;
  readonly bucket: TestBucket;
  readonly queueUrl: string | undefined;
}): object {
  const { project, queue, bucket, queueUrl } = options;
  const notifications = queueUrl && { queueUrl, visibilitySeconds: 2 };
  return {
    project,
    queue,
    connectors: [
      {
        name: "bucket",
        source: "s3",
        to: "objects",
        config: {
          ...bucket.config,
          everyMs: 300,
          idleEveryMs: 500,
          ...(notifications && { notifications }),
        },
      },
      {
        name: "search",
        sink: "pinecone",
        from: "objects",
        transforms: [
          { use: "parse", config: parsing },
          { use: "chunk", config: { maxTokens: 60 } },
        ],
        config: { index: "objects", local: ".sluice/pinecone", embedding: { provider: "hash" } },
      },
    ],
  };
}
