import type { Place } from "../../../core/config/pipeline.ts";

/** What a process of the counted pipeline is forked with, as JSON in its last argument. */
export interface CountedOrder {
  readonly seed: number;
  readonly project: string;
  readonly place: Place;
  readonly partitions: number;
  readonly maxWaiting: number;
  /** Events a yield, at most. */
  readonly most: number;
  /** What the source says of its origin: that it forgets what was confirmed. */
  readonly forgets: boolean;
  /** The log that must hold what is confirmed: how much of it is on disk then goes with each confirmation. */
  readonly log?: { readonly kind: "wal" | "aof"; readonly path: string };
}

/** How much of a log there was: bytes of an append-only file, frames of one generation of a write-ahead log. */
export interface LogMark {
  readonly generation: string;
  readonly upTo: number;
}

/** What a process asks of the one that forked it, which is its origin and its target. */
export type Question =
  /** A source starts to read behind `after`. */
  | { readonly ask: "begin"; readonly after: number }
  /** Answered once there is something behind `after`. */
  | { readonly ask: "more"; readonly after: number }
  | {
      readonly ask: "write";
      readonly numbers: readonly number[];
      readonly lease: string;
      readonly token: number;
      /** When it saw that it may (`Date.now()`): a process may stand still between that and its request. */
      readonly at: number;
    };

export type Asked = Question & { readonly id: number };

/** What it tells without waiting. */
export type Told =
  | { readonly tell: "confirm"; readonly upTo: number; readonly mark?: LogMark }
  | { readonly tell: "ready" }
  | {
      readonly tell: "log";
      readonly level: string;
      readonly message: string;
      readonly fields: string;
    };

export type FromProcess = Asked | Told;

export type Answer =
  | { readonly is: "ok" }
  | { readonly is: "more"; readonly upTo: number }
  | { readonly is: "throttled"; readonly retryAfterMs: number }
  /** The places of those that can never be written; the rest is done. */
  | { readonly is: "poison"; readonly at: readonly number[] }
  /** Nothing was written, because one of them is poison. */
  | { readonly is: "refused" };

export type ToProcess =
  | { readonly id: number; readonly answer: Answer }
  | { readonly stop: number };
