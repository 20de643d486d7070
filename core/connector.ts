import type { z } from "zod";
import type { Auditor, Estimator } from "./auditor.ts";
import { stamp, type Defined } from "./connector-api.ts";
import type { SluiceError } from "./errors.ts";
import type { JsonObject, MessageEvent, SluiceEvent, UpsertEvent } from "./event.ts";
import type { Fence, StateStore, StateWrite } from "./state/state.ts";
import type { Match } from "./vectors.ts";
import type { Version } from "./version.ts";

/** A connector's options: one zod schema gives types, validation, `--help`, docs and JSON Schema. */
export type Config = z.ZodType;

/** Fields first, then a fixed message. */
export type Log = {
  readonly [level in "debug" | "info" | "warn" | "error"]: (
    fields: object,
    message: string,
  ) => void;
};

/** One thing a check or a validation found. */
export interface Finding {
  readonly severity: "ok" | "warning" | "error";
  /** Stable, e.g. `config.unknown-key`. */
  readonly code: string;
  readonly message: string;
  /** JSON path in the config file, e.g. `connectors[0].config.url`. */
  readonly path?: string;
  /** An imperative: what to do about it. */
  readonly fix?: string;
}

/** What the runner hands to every connector. */
export interface Context<C> {
  /** The connector's name in the config file. */
  readonly name: string;
  /** The project's name: with the connector's it is unique, also where projects share a server. */
  readonly project: string;
  /** As its schema puts it out: defaults filled in, secrets in plain text. */
  readonly config: C;
  /** Aborts when the connector must stop. */
  readonly signal: AbortSignal;
  /** Fields first, then a fixed message. Never give it a secret. */
  readonly log: Log;
  /** Private to this connector, fenced by its lease. */
  readonly state: StateStore;
  /** Adds `value` to a counter. */
  readonly meter: (name: string, value: number, labels?: Readonly<Record<string, string>>) => void;
}

/** What each says of itself: connectors, embedders, vector stores. */
export interface Definition<C extends Config> {
  /** Kebab-case. */
  readonly name: string;
  /** Semantic version of what it does; of a transform, part of a document's lineage. */
  readonly version: string;
  /** One line for `sluice connectors`. */
  readonly summary: string;
  /** A `z.strictObject`: every option described. */
  readonly config: C;
}

/** What every kind of connector may do besides its work. */
export interface ConnectorDefinition<C extends Config> extends Definition<C> {
  /** Online: is it reachable, permitted, set up? Changes nothing. */
  readonly check?: (context: Context<z.output<C>>) => Promise<readonly Finding[]>;
  /**
   * `sluice remove`: takes away what the connector made at its origin (a slot, a publication). Called
   * while it runs nowhere, before its state is deleted. Says what it did. May be called twice.
   */
  readonly remove?: (context: Context<z.output<C>>) => Promise<readonly Finding[]>;
}

/** What a source yields at once. */
export interface SourceBatch<P> {
  /** In order. May be empty: a heartbeat that only moves the checkpoint. */
  readonly events: readonly SluiceEvent[];
  /** Resumes after `events`. */
  readonly checkpoint: P;
  /** This source's own state, stored atomically with the checkpoint, after the events are durable. */
  readonly writes?: readonly StateWrite[];
  /** Ids of the snapshot requests that this batch finishes: forgotten in the same write. Until then a restart asks again. */
  readonly completes?: readonly string[];
}

/** `sluice snapshot`, or the catch-up of a late subscription. Asked again, with the same id, until a batch `completes` it or it is refused. */
export interface SnapshotRequest {
  /** What a batch that finishes it `completes`; ids sort by the time of asking. */
  readonly id: string;
  /** Names of the origin's collections (tables, prefixes), as the source's config writes them. All of them when absent. */
  readonly collections?: readonly string[];
  /** The one subscription to deliver to: goes into every event of this snapshot, its sweep included. */
  readonly audience?: string;
}

/** A question that became a dead letter. */
export interface GivenUp {
  readonly correlationid: string;
  /** Who gave it up. */
  readonly connector: string;
  readonly error: { readonly code: string; readonly message: string; readonly fix?: string };
  /** RFC 3339: when it was last tried. */
  readonly at: string;
}

/** What `read` of a source is called with: once a run, `config` parsed and `checkpoint` as its schema put it out. */
export interface SourceContext<C, P> extends Context<C> {
  /** Where the last stored batch ended; `undefined` at the first start. */
  readonly checkpoint: P | undefined;
  /**
   * A version for origins without a log (files, listings): strictly rising over restarts and
   * take-overs. Never use a file's mtime instead: a restored older file must win.
   */
  readonly nextVersion: () => Version;
  /**
   * Resolves when all that was yielded before the call survives power loss, as far as the queue can.
   * Never await it in `read`: `void settled().then(() => confirm(position)).catch(…)`.
   */
  readonly settled: () => Promise<void>;
  /** Snapshots to take while streaming goes on; each ends with a `sweep`. Ends on abort. */
  readonly requests: AsyncIterable<SnapshotRequest>;
  /** Gives a request back that can never be met: it names what is not there. Whoever waits for it is told why. */
  readonly refuse: (id: string, why: SluiceError) => Promise<void>;
  /**
   * Live copies of what is published to a topic from now on (resolves when that holds): an answer that somebody
   * waits for. It subscribes to nothing; who reads too slowly is told how many events it missed. Ends on abort.
   */
  readonly tap: (
    topic: string,
    run: { readonly signal: AbortSignal; readonly missed?: (events: number) => void },
  ) => Promise<AsyncIterable<SluiceEvent>>;
  /**
   * Which of these questions, by their correlation ids, were given up on their way to a topic of answers: who waits
   * for one may stop waiting. A question that is asked again may have been given up before: see `at`.
   */
  readonly givenUp: (
    topic: string,
    correlationids: readonly string[],
  ) => Promise<readonly GivenUp[]>;
  /** Shown by `status` and the live view. */
  readonly progress: (value: {
    readonly phase: "snapshot" | "streaming";
    /** Records that the snapshot has read, of how many: an estimate will do. */
    readonly done?: number;
    readonly total?: number;
    /** How far behind the origin it is, for people: `12 MB`, `3 s`. */
    readonly lag?: string;
    /** The same as a number, for metrics; 0 where it is not behind. Absent: not known. */
    readonly lagBytes?: number;
    readonly lagSeconds?: number;
  }) => void;
}

/** What `defineSource` takes: how an origin is read, and what is promised of it. */
export interface SourceDefinition<
  C extends Config,
  P extends Config,
> extends ConnectorDefinition<C> {
  /** Schema of the resume point. */
  readonly checkpoint: P;
  /** Prefixes of the event types it yields. */
  readonly emits: readonly string[];
  readonly capabilities: {
    /** Sees deletions at the origin. */
    readonly deletes: boolean;
    /** Honours `requests`. */
    readonly snapshotOnRequest: boolean;
    /** Re-reads what was not checkpointed. */
    readonly replays: boolean;
    /** The origin discards what is confirmed (a replication slot). */
    readonly forgets: boolean;
  };
  /**
   * Reads everything there is, once, as a snapshot would emit it, and leaves no trace: for `plan` and
   * `verify`. Absent: `read` serves for that, where it leaves none (no `remove`, and it does not forget).
   */
  readonly scan?: (context: Context<z.output<C>>) => AsyncIterable<readonly SluiceEvent[]>;
  /**
   * Reads the origin from `context.checkpoint` on. One batch is in flight: control returns after a
   * `yield` only when the events are durable for every subscription and the checkpoint is stored
   * (Invariant 1); not being asked again is the back-pressure. So yield everything that is ready, up to
   * 1,000 events or 1 MiB, and read the origin into a bounded `channel` meanwhile. Code after a
   * `yield` may be skipped by a crash: it may only confirm upstream. Return within 1 s of an abort.
   */
  readonly read: (
    context: SourceContext<z.output<C>, z.output<P>>,
  ) => AsyncIterable<SourceBatch<z.input<P>>>;
}

/** What reaches a transform: deletes and clears pass it by. */
export type Applicable = UpsertEvent | MessageEvent;
/**
 * An event replaces its input; `null`: no longer wanted, and the runner sends the delete; `"skip"`: nothing comes of
 * this change, neither event nor delete. Only where another change of the record is bound to follow, and count it.
 * An array splits a record into parts, each made with `childOf`: the runner deletes those that vanish.
 */
export type Output = Applicable | readonly Applicable[] | null | "skip";

/** A transform at work in one process. Several may work at once; the events of one record come to them in order. */
export interface TransformWorker {
  /**
   * One slot per input, same order, same length. A slot may hold the very object it was given:
   * unchanged. Reject single inputs with `PartialError`; throw `PoisonError` only for a batch of one.
   */
  readonly apply: (
    events: readonly Applicable[],
    run: { readonly signal: AbortSignal },
  ) => Promise<readonly Output[]>;
  /** It may answer with arrays, as it is configured: the runner then remembers what came of each record. */
  readonly splits?: boolean;
  /** Gives back what `open` took. May be called twice. */
  readonly close?: () => Promise<void>;
}

/** What `defineTransform` takes. */
export interface TransformDefinition<C extends Config> extends ConnectorDefinition<C> {
  /** Type prefixes it takes; `""` is any. */
  readonly accepts: readonly string[];
  /** Type prefixes it may turn them into; `""` is what came in. */
  readonly emits: readonly string[];
  /**
   * Type prefixes of which nothing ever comes, neither event nor delete: what it only takes note of. With
   * `dev.sluice.record.deleted` and `dev.sluice.collection.` the runner passes neither deletes nor clears on: right
   * where only messages leave, of which no record is ever gone. A topic that leads back to it is no loop when all it
   * carries is absorbed, these two included.
   */
  readonly absorbs?: readonly string[];
  /**
   * It leaves text, metadata and chunk borders as they were, and adds what can be made again at any time: tokens,
   * vectors. So it has no part in a document's lineage, and `plan` and `verify` do without it.
   */
  readonly annotates?: boolean;
  /** The config key that names an index it reads, as `{ store, config }`: a sink, and that sink's config. */
  readonly reads?: string;
  /** Starts a worker without state of its own beyond caches. */
  readonly open: (context: Context<z.output<C>>) => Promise<TransformWorker>;
}

/** What a sink's `write` may rely on while it lasts: the partition is its own until `deadline`. */
export interface WriteRun {
  /** Aborts when the connector stops or the partition is lost: settle within a second, and begin nothing after that. */
  readonly signal: AbortSignal;
  /** Pass it to every `StateStore` write. */
  readonly fence: Fence;
  /** `performance.now()` after which no request may start. Moves as the lease is renewed: read it before each request. */
  readonly deadline: number;
  /** A previous worker may have died with a request on the wire. */
  readonly redelivered: boolean;
}

/** A sink at work on one partition. Throws `RetryableError`, `PoisonError`, `PartialError` or `ConfigError` for what the runner shall do; of anything else it tries again 5 times and then looks for the event to blame. */
export interface Writer<E extends SluiceEvent = SluiceEvent> {
  /**
   * Applies `events`: at most one a record, the newest. A `CollectionCleared` comes alone. The same
   * batch may arrive again after a crash, so writing it twice must equal writing it once.
   * If some fail, throws `PartialError` and the rest is complete.
   */
  readonly write: (events: readonly E[], run: WriteRun) => Promise<void>;
  /** Gives back what `open` took. May be called twice. */
  readonly close: () => Promise<void>;
}

/** The read side of a sink: `search`. Needs no lease, writes nothing. */
export interface Reader {
  /** The nearest first, `topK` at most. Throws `RetryableError` for what passes. */
  readonly search: (
    query: {
      /** One of these two. */
      readonly text?: string;
      readonly vector?: Float32Array;
      readonly topK: number;
      /** In the index's own language. */
      readonly filter?: JsonObject;
      /** For a sink that spreads its documents over namespaces. */
      readonly namespace?: string;
      /** Answers only once the index has seen this log position, as a write's `lsn` told it. */
      readonly minLsn?: bigint;
      /** Milliseconds it may wait for `minLsn`; it looks once in any case. 20 s by default. */
      readonly maxWaitMs?: number;
    },
    run: { readonly signal: AbortSignal },
  ) => Promise<{ readonly matches: readonly Match[]; readonly lsn?: bigint }>;
  /** The fingerprint of the model the index holds, read from the index itself. */
  readonly model: () => Promise<string | undefined>;
  /** May be called twice. */
  readonly close: () => Promise<void>;
}

/** What `defineSink` takes. `open` serves writing; the others are there for `search`, for `verify` and `erase`, and for `plan`. */
export interface SinkDefinition<C extends Config> extends ConnectorDefinition<C> {
  /** Type prefixes of upserts and messages (`""` = all). Deletes and clears are always accepted. */
  readonly accepts: readonly string[];
  /** Config keys that inline transforms with the same key inherit, e.g. `embedding`. */
  readonly inherit?: readonly string[];
  /** Config keys that say which index it keeps, e.g. `index` and `url`: a reader that has them equal reads that one. */
  readonly locates?: readonly string[];
  /** Connects. Throws `RetryableError` where the target is away, `ConfigError` where it can never fit. */
  readonly open: (context: Context<z.output<C>>) => Promise<Writer>;
  /** For `search`, `ask` and `retrieve`: writes nothing. */
  readonly openReader?: (context: Context<z.output<C>>) => Promise<Reader>;
  /** For `verify` and `erase`. */
  readonly openAuditor?: (context: Context<z.output<C>>) => Promise<Auditor>;
  /** For `plan`: what embedding would cost. */
  readonly openEstimator?: (context: Context<z.output<C>>) => Promise<Estimator>;
}

/** A source as the runner holds it: config types erased, parsed with `config` first. */
export type Source = SourceDefinition<Config, Config> & Defined<"source">;
/** A transform as the runner holds it: config types erased, parsed with `config` first. */
export type Transform = TransformDefinition<Config> & Defined<"transform">;
/** A sink as the runner holds it: config types erased, parsed with `config` first. */
export type Sink = SinkDefinition<Config> & Defined<"sink">;
/** What a module that a config names exports: one of them, made by its define function. */
export type Connector = Source | Transform | Sink;

/** Makes a source. All types are inferred: `read` gets `config` and `checkpoint` as their schemas put them out. */
export function defineSource<C extends Config, P extends Config>(
  definition: SourceDefinition<C, P>,
): Source {
  // Erasing a definition's config types is sound because the runner parses with `config` before it calls.
  return { ...definition, ...stamp("source") } as unknown as Source;
}

/** Makes a transform. All types are inferred: `open` gets `config` as its schema puts it out. */
export function defineTransform<C extends Config>(definition: TransformDefinition<C>): Transform {
  return { ...definition, ...stamp("transform") } as unknown as Transform;
}

/** Makes a sink. All types are inferred: `open` gets `config` as its schema puts it out. */
export function defineSink<C extends Config>(definition: SinkDefinition<C>): Sink {
  return { ...definition, ...stamp("sink") } as unknown as Sink;
}
