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

/** Loads the files a command was given, opens their queue and state for `use`, and closes them. */
export async function withBackend(
  files: readonly string[],
  options: PipelineOptions,
  output: Output,
  use: (opened: Opened) => Promise<void>,
): Promise<void> {
  const pipeline = await openPipeline(files, options, output);
  const log = quietLog(output.note, secretsOf(pipeline));
  const backend = await openBackend(pipeline, { log });
  try {
    await use({ pipeline, backend, log });
  } finally {
    await backend.close(1_000);
  }
}
