import type { Durability } from "../queue/queue.ts";
import type { Pace } from "./pace.ts";
import type { Standing } from "./standings.ts";

/**
 * - `starting`: opening, or waiting for its first partition
 * - `standby`: another process holds the source's lease
 * - `running`
 * - `failing`: retrying what went wrong at `error.since`; nothing is lost
 * - `failed`: stopped by an error that needs a person; tried again later and later, but for a lost position
 * - `paused`: takes no new work, until it is resumed
 * - `stopped`: on purpose, or a source without more to read
 */
export const connectorStates = [
  "starting",
  "standby",
  "running",
  "failing",
  "failed",
  "paused",
  "stopped",
] as const;
export type ConnectorState = (typeof connectorStates)[number];

/** What went wrong, and is tried again. */
export interface Trouble {
  readonly code: string;
  readonly message: string;
  readonly fix?: string;
  /** RFC 3339: failing since. */
  readonly since: string;
}

export interface ConnectorStatus {
  readonly name: string;
  readonly kind: "source" | "transform" | "sink";
  /** The connector's type, e.g. `file`. */
  readonly type: string;
  readonly state: ConnectorState;
  readonly error?: Trouble;
  /** Sources: what `progress` said last, and how long it will take. */
  readonly progress?: Pace & {
    readonly phase: "snapshot" | "streaming";
    readonly done?: number;
    readonly total?: number;
    readonly lag?: string;
    readonly lagBytes?: number;
    readonly lagSeconds?: number;
  };
  /** Sources: snapshots that were asked for and are not done. */
  readonly requests?: number;
  /** Events published (sources) or handled (transforms, sinks) by this process. */
  readonly events: number;
  /** Open ones, whichever process made them. */
  readonly deadLetters: number;
  /** Consumers: one entry a topic. */
  readonly subscriptions?: readonly (Standing & {
    readonly topic: string;
    readonly waiting: number;
    readonly oldestMs: number;
    readonly consumers: number;
  })[];
  /** What the connector metered: `name{label=value}` → sum. */
  readonly counters: Readonly<Record<string, number>>;
}

/** What `/connectors` answers and `sluice status` prints for one process. */
export interface PipelineStatus {
  readonly project: string;
  readonly pid: number;
  readonly host: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly queue: "redis" | "embedded";
  /** False: it gave no answer in time, so nothing is said of subscriptions, and `durability` is as it was at the start. */
  readonly queueAnswers: boolean;
  /** Why queue or state cannot be used: connectors that have no trouble of their own are failing because of that. */
  readonly outage?: Trouble;
  readonly durability: Durability;
  readonly connectors: readonly ConnectorStatus[];
}
