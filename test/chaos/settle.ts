import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Place } from "../../core/config/pipeline.ts";
import { differences, openOracle } from "./oracle.ts";
import type { PipelineProcess } from "./pipeline-process.ts";
import type { RoundResult } from "./round.ts";

const lookEveryMs = 250;
const maxShown = 20;

/** What the origin holds at last, as the index must. */
export interface Wanted {
  readonly records: number;
  readonly documents: Parameters<typeof differences>[0];
}

/** Waits until the index is what the origin says, or the pipeline has ended, or for `withinMs`. */
export async function settle(round: {
  readonly dir: string;
  readonly index: string;
  readonly project: string;
  /** Of Redis; embedded without. */
  readonly redisUrl: string | undefined;
  readonly pipeline: PipelineProcess;
  readonly wanted: () => Promise<Wanted>;
  readonly withinMs: number;
}): Promise<Pick<RoundResult, "ok" | "records" | "chunks" | "settledMs" | "differences">> {
  const { dir, index, project, redisUrl, pipeline, wanted, withinMs } = round;
  const began = performance.now();
  const state: Place =
    redisUrl === undefined
      ? { kind: "embedded", dir: join(dir, ".sluice") }
      : { kind: "redis", url: redisUrl };
  const pinecone = join(dir, ".sluice", "pinecone");
  const oracle = await openOracle({ pinecone, index, state, project });
  try {
    const { records, documents } = await wanted();
    for (;;) {
      await sleep(lookEveryMs);
      const now = await oracle.index();
      const found = pipeline.isRunning()
        ? differences(documents, now, await oracle.manifests())
        : [`the pipeline ended: ${pipeline.lastWords()}`];
      const settledMs = Math.round(performance.now() - began);
      const ok = found.length === 0;
      const isOver = ok || !pipeline.isRunning() || settledMs > withinMs;
      if (!isOver) continue;
      return {
        ok,
        records,
        chunks: now.length,
        settledMs,
        ...(!ok && { differences: found.slice(0, maxShown) }),
      };
    }
  } finally {
    await oracle.close();
  }
}
