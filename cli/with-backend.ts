import { openBackend, type Backend } from "../core/backend.ts";
import type { LoadedPipeline } from "../core/config/load.ts";
import { secretsOf } from "../core/config/secrets.ts";
import type { Log } from "../core/connector.ts";
import { openPipeline, type PipelineOptions } from "./command.ts";
import { quietLog } from "./log.ts";
import type { Output } from "./output.ts";

export interface Opened {
  readonly pipeline: LoadedPipeline;
  readonly backend: Backend;
  readonly log: Log;
}

/** Opens the queue and state of a pipeline for `use`, and closes them. What is logged is noted for people, without secrets. */
export async function useBackend<T>(
  pipeline: LoadedPipeline,
  output: Output,
  use: (opened: Omit<Opened, "pipeline">) => Promise<T>,
): Promise<T> {
  const log = quietLog(output.note, secretsOf(pipeline));
  const backend = await openBackend(pipeline, { log });
  try {
    return await use({ backend, log });
  } finally {
    await backend.close(1_000);
  }
}

/** Loads the files a command was given first. */
export async function withBackend(
  files: readonly string[],
  options: PipelineOptions,
  output: Output,
  use: (opened: Opened) => Promise<void>,
): Promise<void> {
  const pipeline = await openPipeline(files, options);
  await useBackend(pipeline, output, (opened) => use({ pipeline, ...opened }));
}
