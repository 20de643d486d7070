import type { Log } from "../connector.ts";
import type { Scope } from "../state/state.ts";
import type { TopicSettings } from "./queue.ts";

/** What both implementations of `Topics` are opened with. */
export interface TopicsOptions {
  /** Prefix of every key and queue. */
  readonly project: string;
  readonly settings: (topic: string) => TopicSettings;
  /** State and leases of a connector; a subscription's partition leases live in its connector's scope. */
  readonly scope: (connector: string) => Scope;
  readonly log: Log;
  /** How long a partition stays with a process that died, milliseconds. */
  readonly leaseMs: number;
  /** The longest a sink's request may take: `deadline` is the lease's end less this. */
  readonly writeTimeoutMs: number;
}

export const defaultLeaseMs = 10_000;
export const defaultWriteTimeoutMs = 5_000;
