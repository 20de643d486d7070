import type { DocumentUpserted, RecordDeleted } from "./event.ts";
import type { Version } from "./version.ts";

/** One thing in a target that is not as it should be. */
export interface Drift {
  /**
   * missing: noted, or at the origin, and not in the target; stale: not what was noted, or not what the
   * origin holds; orphaned: in the target, and known to nobody or gone at the origin; old-lineage: made by
   * other transforms than those of now, which is allowed.
   */
  readonly kind: "missing" | "stale" | "orphaned" | "old-lineage";
  /** Of the record, where it is known. */
  readonly source?: string;
  readonly subject?: string;
  /** Where in the target: a namespace. */
  readonly place: string;
  /** Ids in the target; none: the record as a whole. */
  readonly ids: readonly string[];
  /** Ids that no record of ours can have: only a forced repair deletes them. */
  readonly isForeign?: true;
}

/** What a verification went through. */
export interface Verified {
  readonly documents: number;
  readonly vectors: number;
  /** Vectors that were read whole. */
  readonly sampled: number;
  /** Of those: whose numbers were compared with what the model makes of their text. */
  readonly values: number;
  /** Texts that were embedded for that, and what it cost where that is known. */
  readonly embedded: { readonly texts: number; readonly tokens: number; readonly dollars?: number };
  /** Documents compared with their origin. */
  readonly compared: number;
  /** Looked wrong and changed all the while: neither drift nor exact. */
  readonly unsettled: number;
}

/** Everything that some origins hold now, as documents. */
export interface OriginReading {
  readonly documents: AsyncIterable<DocumentUpserted>;
  /** At the end of `documents`: whether every record of this `source` was read, should it have any. */
  readonly isWhole: (source: string) => boolean;
  /** Whether a record waits as a dead letter: then nobody knows what it should be. */
  readonly isGivenUp: (record: RecordName) => boolean;
}

/** `sluice verify` and `sluice erase`: needs no lease, and may run beside the sink. */
export interface Auditor {
  /** Compares the target with the sink's notes of it, and with `documents`. Writes nothing. */
  readonly verify: (
    how: {
      /** How many vectors to read whole, chosen at random. */
      readonly sample: number;
      /** Embed the texts of the sampled whose vector is not cached, to compare their numbers. */
      readonly values: boolean;
      /** Marks of the transforms of now, `name@version:configHash`: another mark of the same name is an old one. */
      readonly lineage: readonly string[];
      /** Reads every record of some origins; may be asked again. */
      readonly origins?: () => OriginReading;
      /** Resolves to true when what was published before the call is handled. */
      readonly settled: () => Promise<boolean>;
      /** Milliseconds that a change at an origin may take to get here. */
      readonly patienceMs: number;
    },
    run: { readonly signal: AbortSignal },
  ) => AsyncGenerator<Drift, Verified>;
  /**
   * Prepares repairs: from now on these records are compared with the target itself when they come
   * again. Resolves to the deletes to be published for those that will not come again, and to how many foreign ids
   * were removed from the target: with `force` all, else none.
   */
  readonly mend: (
    drifts: readonly Drift[],
    run: { readonly force: boolean; readonly signal: AbortSignal },
  ) => Promise<{ readonly deletes: readonly RecordDeleted[]; readonly removed: number }>;
  /** What the sink has noted of a record. */
  readonly noteOf: (record: RecordName) => Promise<
    | {
        readonly version: Version;
        readonly partitionkey: string;
        /** Its deletion is noted, and done. */
        readonly isDeleted: boolean;
      }
    | undefined
  >;
  /** Every record that it has notes of. */
  readonly records: () => AsyncIterable<RecordName>;
  /** Removes every trace of a record from the target and the sink's state. */
  readonly erase: (
    record: RecordName,
    run: { readonly signal: AbortSignal },
  ) => Promise<{
    readonly places: readonly string[];
    readonly vectors: number;
    readonly manifests: number;
    readonly cachedEmbeddings: number;
    /** Found by looking again: 0, or it is not done. */
    readonly remaining: number;
  }>;
  readonly close: () => Promise<void>;
}

/** A record by its origin and its subject: together they are its name everywhere. */
export interface RecordName {
  readonly source: string;
  readonly subject: string;
}

/** What a sink would make of documents, for `sluice plan`. */
export interface Estimator {
  /** Dollars for a million tokens; absent: nothing, or nobody knows. */
  readonly pricePerMillionTokens?: number;
  readonly model: string;
  /** The texts it would embed, with their tokens. Equal keys are embedded once. */
  readonly textsOf: (
    document: DocumentUpserted,
  ) => readonly { readonly key: string; readonly tokens: number }[];
}
