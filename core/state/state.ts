import type { Finding } from "../connector.ts";
import type { Json } from "../event.ts";

/** Proof of ownership: the lease's name and the number of its holder. */
export interface Fence {
  readonly lease: string;
  readonly token: number;
}

/** A value as it is stored. */
export interface Entry {
  /** Within the connector's own part of the state. */
  readonly key: string;
  readonly value: Json;
  /** Starts at 1, grows with every write of the key. */
  readonly revision: number;
}

/** `value: undefined` deletes. `expect` is the revision read before, 0 = must be absent; without it the write is unconditional. */
export interface StateWrite {
  readonly key: string;
  readonly value: Json | undefined;
  readonly expect?: number;
  /** Milliseconds after which the entry is gone by itself. */
  readonly ttlMs?: number;
}

/** Small JSON values of one connector, in bytewise key order. */
export interface StateStore {
  /** One round trip, in the order of the keys. */
  readonly get: (keys: readonly string[]) => Promise<readonly (Entry | undefined)[]>;
  /** Each write on its own, one round trip: true = done, false = `expect` did not match. Throws `FencedError` when the token is old. */
  readonly each: (writes: readonly StateWrite[], fence?: Fence) => Promise<readonly boolean[]>;
  /** All or none: false when any `expect` did not match. Throws `FencedError` when the token is old. */
  readonly all: (writes: readonly StateWrite[], fence?: Fence) => Promise<boolean>;
  /** Pages in bytewise (UTF-8) key order, `after` exclusive; entries changed meanwhile may show either value. */
  readonly scan: (
    prefix: string,
    options?: { readonly after?: string; readonly pageSize?: number },
  ) => AsyncIterable<readonly Entry[]>;
}

/** Held by a source (one a cluster) and by a subscription's partition. */
export interface Lease extends Fence {
  /** Aborts when the lease is lost or released, judged by our own monotonic clock. */
  readonly signal: AbortSignal;
  /** `performance.now()` until which it is certainly ours; moves with every renewal. */
  readonly until: () => number;
  /** The previous holder did not release it: it may have died with work half done. */
  readonly inherited: boolean;
  readonly release: () => Promise<void>;
}

/** Who owns what, among all processes that share the state. */
export interface Leases {
  /** Resolves at once: `undefined` while somebody else holds it. The token grows with each holder, also where some of them were lost, or all with the place: it is the time in seconds, or more. */
  readonly acquire: (lease: string, ttlMs: number) => Promise<Lease | undefined>;
}

/** The state and leases of one connector. A fence is checked in the same transaction as the write. */
export interface Scope {
  readonly state: StateStore;
  readonly leases: Leases;
  /** How many keys begin with the prefix, in one cheap look: of those that expire, some may be over. */
  readonly count: (prefix: string) => Promise<number>;
}

/** Where state lives: beside the queue, or elsewhere. */
export interface StatePlace {
  readonly scope: (connector: string) => Scope;
  /** Resolves while it can be used; rejects with why it cannot. Within 3 s. */
  readonly probe: () => Promise<void>;
  /** What it is, and what is wrong with it. Changes nothing. */
  readonly check: () => Promise<readonly Finding[]>;
  readonly close: () => Promise<void>;
}
