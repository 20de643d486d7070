import type { Backend } from "../backend.ts";
import type { Pipeline } from "../config/pipeline.ts";
import type { Log } from "../connector.ts";
import type { Board } from "./board.ts";

/** What the runner gives every connector's task. */
export interface TaskRun {
  readonly backend: Backend;
  readonly board: Board;
  readonly log: Log;
  /** Every topic of the pipeline, with its settings. */
  readonly topics: Pipeline["topics"];
  /** How long a source's lease outlives its process, milliseconds. */
  readonly leaseMs: number;
  /** Resolves while the connector is not paused: to be awaited before new work is taken. Rejects on abort. */
  readonly gate: (signal: AbortSignal) => Promise<void>;
  /** Takes secrets out of a text. */
  readonly scrub: (text: string) => string;
  /** Aborts when the connector must stop. */
  readonly signal: AbortSignal;
}
