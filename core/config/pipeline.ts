import type { Sink, Source, Transform } from "../connector.ts";
import type { JsonObject } from "../event.ts";
import type { TopicSettings } from "../queue/queue.ts";

/** Where queue or state live. */
export type Place =
  | { readonly kind: "redis"; readonly url: string }
  | { readonly kind: "embedded"; readonly dir: string };

/** What `loadPipeline` makes of config files: everything expanded, parsed, resolved, defaults filled in. */
export interface Pipeline {
  /** Prefix of every key and queue. */
  readonly project: string;
  readonly queue: Place;
  readonly state: Place;
  /** Every topic that a connector names, with its settings. */
  readonly topics: Readonly<Record<string, TopicSettings>>;
  readonly connectors: readonly ResolvedConnector[];
}

interface Common {
  readonly name: string;
  /** Until somebody says otherwise (`sluice resume`). Default `running`. */
  readonly initialState?: "running" | "paused";
}

interface Consumer {
  readonly from: readonly string[];
  /** A CloudEvents Subscriptions filter: `exact`, `prefix`, `suffix`, `all`, `any`, `not`. */
  readonly filter?: JsonObject;
  readonly transforms: readonly Stage[];
  readonly retry: { readonly attempts: number; readonly maxDelayMs: number };
  /** Whether later events of a key go on after one that was given up on (default), or wait behind it. */
  readonly onPoison?: "continue" | "park";
  /** Whether a backlog at its bound holds the topic back (default), or ends the subscription. */
  readonly whenFull?: "hold" | "detach";
}

/** One inline transform. */
export interface Stage {
  readonly use: string;
  readonly transform: Transform;
  readonly config: unknown;
  /** 8 hex of the parsed config's canonical JSON: part of a document's lineage. */
  readonly configHash: string;
}

export type SourceConnector = Common & {
  readonly kind: "source";
  readonly source: Source;
  /** Parsed by the source's schema. */
  readonly config: unknown;
  readonly to: string;
  /** When the position is lost (Invariant 10). Default `fail`. */
  readonly onGap?: "fail" | "resnapshot";
  /** Reads an origin that forgets into a queue that forgets. */
  readonly durability?: "accept-loss";
};
/** A transform between two topics: its own stage is the last of `transforms`. */
export type TransformConnector = Common &
  Consumer & { readonly kind: "transform"; readonly to: string };
export type SinkConnector = Common &
  Consumer & {
    readonly kind: "sink";
    readonly sink: Sink;
    /** Parsed by the sink's schema. */
    readonly config: unknown;
  };
export type ResolvedConnector = SourceConnector | TransformConnector | SinkConnector;
