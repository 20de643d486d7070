import type { JsonObject, Metadata } from "./event.ts";
import type { Version } from "./version.ts";

/** A model that turns texts into vectors. Throws `RetryableError` for what passes, `PoisonError` for a text that it can never take. */
export interface Embedder {
  /** `model@revision/dimensions/normalised`: equal text and equal fingerprint give equal vectors. */
  readonly fingerprint: string;
  /** Numbers a vector has. */
  readonly dimensions: number;
  /** Most texts a call. */
  readonly maxTexts: number;
  /** Most tokens a call, all texts together. */
  readonly maxTokensPerRequest: number;
  /** Most tokens a text, special tokens included; a longer one is a `PoisonError`, never cut. */
  readonly maxTokens: number;
  /** As the model counts them, special tokens included: what `maxTokens` is compared with. */
  readonly countTokens: (text: string) => number;
  /** Dollars, by the provider's list; absent where it costs nothing or nobody knows. For estimates. */
  readonly pricePerMillionTokens?: number;
  /**
   * One vector a text, in order, whatever stands beside it. Refuses an empty text with `PoisonError`. `input`: what is
   * to be found, or what is asked, for models that tell them apart. Settles within a second of an abort.
   */
  readonly embed: (
    texts: readonly string[],
    run: { readonly input: "passage" | "query"; readonly signal: AbortSignal },
  ) => Promise<readonly Float32Array[]>;
  /** May be called twice. */
  readonly close: () => Promise<void>;
}

/** One chunk in an index: an id, `dimensions` numbers, and what filters and answers need of it. */
export interface Vector {
  readonly id: string;
  readonly values: Float32Array;
  readonly metadata: Metadata;
}

/** A vector that was found, with the score that the index gave it. */
export interface Match {
  readonly id: string;
  /** As the index gives it: higher is nearer, but with a euclidean metric. */
  readonly score: number;
  readonly metadata: Metadata;
}

/** What a call to a vector store is about, and how long it may take. */
export interface StoreRun {
  /** A part of the index that knows nothing of the others; comes into being with its first vector. */
  readonly namespace: string;
  /** Starts nothing once it has aborted, and settles within a second of that. */
  readonly signal: AbortSignal;
  /** `performance.now()` after which no request may start, retries included. Moves: read it before each. */
  readonly deadline?: number;
}

/**
 * The few calls vector sync makes, of several processes at once: each sees what the others wrote, and loses none of it.
 * Splitting by bytes and count and bisection live above it, from
 * `limits`; pacing and retries of what passes inside. Upserts may run at once, never twice for one id.
 */
export interface VectorStore {
  /** Names the index among others: notes about another one are not believed. Absent: as its config says. */
  readonly target?: string;
  readonly limits: {
    /** Vectors of one upsert. */
    readonly maxVectors: number;
    /** Bytes of one upsert's encoded body. */
    readonly maxBytes: number;
    /** Ids of one `remove`, of one `fetch`. */
    readonly maxDeleteIds: number;
    readonly maxFetchIds: number;
    /** Characters of an id, all of them ASCII. */
    readonly maxIdLength: number;
    /** Bytes of one vector's metadata as JSON. */
    readonly maxMetadataBytes: number;
  };
  /** Bytes a vector takes in an upsert's body. Absent: estimated. */
  readonly bytesOf?: (vector: Vector) => number;
  /** What the index is, asked anew. Throws `RetryableError` where it is not there. */
  readonly describe: (run: { readonly signal: AbortSignal }) => Promise<{
    readonly dimensions: number;
    readonly metric: "cosine" | "dotproduct" | "euclidean";
  }>;
  /**
   * Replaces whole vectors, metadata included; resolves once they outlive this process. What can never be
   * stored (other dimensions) is a `PoisonError`, and none of the call need be written then. `lsn`: the store's
   * log position of this write, where it tells.
   */
  readonly upsert: (
    vectors: readonly Vector[],
    run: StoreRun,
  ) => Promise<{ readonly lsn?: bigint }>;
  /** Absent ids and namespaces succeed. */
  readonly remove: (ids: readonly string[], run: StoreRun) => Promise<{ readonly lsn?: bigint }>;
  /** Absent ids are left out. */
  readonly fetch: (ids: readonly string[], run: StoreRun) => Promise<readonly Vector[]>;
  /**
   * Pages of the ids that begin with `prefix`, ascending bytewise. `_`, `%` and capitals stand for themselves. What is
   * there all along is listed, whatever is removed meanwhile.
   */
  readonly list: (prefix: string, run: StoreRun) => AsyncIterable<readonly string[]>;
  /** Pages of the namespaces that hold vectors, in any order. Absent: the store has only those it is told of. */
  readonly namespaces?: (run: { readonly signal: AbortSignal }) => AsyncIterable<readonly string[]>;
  /**
   * The nearest first, `topK` at most, nothing from an absent namespace. `filter`: which of them may be found, by their
   * metadata, in the database's own language; of two that both hold, `{ $and: [one, other] }`. One that cannot be applied
   * in whole is a `PoisonError`, never left out.
   * `lsn`: the log position up to which the answer has seen the namespace, where the store tells.
   */
  readonly query: (
    query: {
      readonly vector: Float32Array;
      readonly topK: number;
      readonly filter?: JsonObject;
    },
    run: StoreRun,
  ) => Promise<{ readonly matches: readonly Match[]; readonly lsn?: bigint }>;
  /** May be called twice. */
  readonly close: () => Promise<void>;
}

/**
 * What is in the index for one document, wherever it is: state key `m/${docKey}#`, so the scan order
 * equals the id order of any namespace.
 */
export interface Manifest {
  readonly source: string;
  readonly subject: string;
  readonly partitionkey: string;
  readonly version: Version;
  /** The embedder's fingerprint. */
  readonly model: string;
  readonly lineage: readonly string[];
  readonly state: "live" | "pending" | "tombstone";
  /** Milliseconds since the epoch, for tombstones. */
  readonly deletedAt?: number;
  /** Where its chunks are. */
  readonly namespace: string;
  readonly chunks: readonly {
    readonly id: string;
    readonly embedKey: string;
    readonly metadataHash: string;
    readonly order: number;
  }[];
  /** Chunk ids that may be in `namespace` besides `chunks`. */
  readonly pending?: readonly string[];
  /** Of `chunks`: whose vectors were found wrong, whatever the index says of them. They are written anew. */
  readonly suspect?: readonly string[];
  /** While pending: what was there before; `null` for nothing, absent where that is not known. */
  readonly before?: Manifest | null;
  /** Chunk ids that may still be in namespaces it came from. */
  readonly elsewhere?: readonly { readonly namespace: string; readonly ids: readonly string[] }[];
  /** How often the index had been found to differ from these notes when this one was last compared with it. */
  readonly epoch: number;
  /** The store's log position of the last write for it, where it tells: what a reading must have seen. */
  readonly lsn?: string;
}
