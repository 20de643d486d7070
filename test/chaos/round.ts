import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "../../connectors/transforms/parse/parse.ts";
import { upserted, type RecordUpserted } from "../../core/event.ts";
import { version } from "../../core/version.ts";
import { changingFolder } from "./folder.ts";
import { documentsOf } from "./oracle.ts";
import { startPipelineProcess, type PipelineProcess } from "./pipeline-process.ts";
import { seeded } from "./random.ts";
import { settle } from "./settle.ts";

export interface RoundResult {
  readonly seed: number;
  readonly ok: boolean;
  readonly kills: number;
  /** How many of each kind, where there are several. */
  readonly hits?: Readonly<Record<string, number>>;
  readonly changes: number;
  /** Files or rows at the end. */
  readonly records: number;
  readonly chunks: number;
  /** From the last change to an index that equals the folder. */
  readonly settledMs: number;
  readonly differences?: readonly string[];
}

const settleWithinMs = 60_000;

/** Plays one round: changes with kills between and during them, then waits for index = folder. */
export async function playRound(options: {
  readonly dir: string;
  readonly seed: number;
  readonly changes: number;
  readonly kills: number;
  /** `embedded` or a Redis URL. */
  readonly queue: string;
}): Promise<RoundResult> {
  const { dir, seed, changes, kills, queue } = options;
  const random = seeded(seed);
  const notes = join(dir, "notes");
  await mkdir(notes);
  const config = join(dir, "sluice.json");
  await writeFile(config, JSON.stringify(pipelineFile(seed, queue), null, 2));
  const folder = changingFolder(notes, random, 120);
  const killAt = new Set(Array.from({ length: kills }, () => random.below(changes)));

  let pipeline: PipelineProcess = startPipelineProcess(config, join(dir, "log.ndjson"));
  let killed = 0;
  try {
    for (let change = 0; change < changes; change++) {
      await folder.change();
      if (random.next() < 0.25) await sleep(random.below(40));
      if (!killAt.has(change)) continue;
      // Any moment: before it is up, in the first scan, in the middle of a write.
      await sleep(random.below(1_500));
      await pipeline.kill();
      killed += 1;
      for (let unseen = random.below(8); unseen > 0; unseen--) await folder.change();
      pipeline = startPipelineProcess(config, join(dir, "log.ndjson"));
    }

    const settled = await settle({
      dir,
      index: "notes",
      project: projectOf(seed),
      redisUrl: queue === "embedded" ? undefined : queue,
      pipeline,
      wanted: async () => ({
        records: folder.files.size,
        documents: await documentsOf(recordsOf(folder.files), parse, {}),
      }),
      withinMs: settleWithinMs,
    });
    return { seed, kills: killed, changes, ...settled };
  } finally {
    await pipeline.kill();
  }
}

/** Every file as the source would tell it. */
function recordsOf(files: ReadonlyMap<string, string>): readonly RecordUpserted[] {
  return [...files].map(([path, text]) =>
    upserted({
      source: "/file/folder",
      key: path,
      subject: path,
      version: version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
      time: new Date().toISOString(),
      op: "read",
      after: { uri: path, mediaType: "text/markdown", text },
      meta: {},
    }),
  );
}

function pipelineFile(seed: number, queue: string): object {
  const embedding = { provider: "hash" };
  return {
    project: projectOf(seed),
    queue,
    connectors: [
      { name: "folder", source: "file", to: "notes", config: { path: "notes", rescanMs: 5_000 } },
      {
        name: "search",
        sink: "pinecone",
        from: "notes",
        transforms: [{ use: "parse" }, { use: "chunk", config: { maxTokens: 60 } }],
        config: { index: "notes", local: ".sluice/pinecone", embedding },
      },
    ],
  };
}

/** One server serves all rounds of a run. */
function projectOf(seed: number): string {
  return `chaos-${seed}`;
}
