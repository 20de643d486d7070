import type { Finding, WriteRun } from "../connector.ts";
import type { SluiceEvent } from "../event.ts";
import type { Fence } from "../state/state.ts";

/** What is lost: `memory` on any restart of Redis; `second` on power loss, the last 1–2 s; `disk` nothing. */
export type Durability = "memory" | "second" | "disk";

/** One consumer's durable place on a topic. Named by its connector. */
export interface Subscription {
  readonly topic: string;
  readonly name: string;
  /** What happens once as much waits for it as may: publishing waits (default), or it ends, with what waits. */
  readonly whenFull?: "hold" | "detach";
}

/** A subscription as whoever publishes to its topic sees it. */
export interface Subscriber {
  readonly name: string;
  /** Another one when it ended and began anew. A `timedId`: says since when it is there. */
  readonly generation: string;
}

export interface SubscriptionStatus extends Subscription {
  /** Events published and not yet acknowledged, all partitions. */
  readonly waiting: number;
  /** Age of the oldest waiting job, milliseconds; 0 when none waits. */
  readonly oldestMs: number;
  /** Live processes that consume it. */
  readonly consumers: number;
  /** It has ended because it was full: then (RFC 3339), with so many events. Until it subscribes again or is removed. */
  readonly detached?: { readonly at: string; readonly events: number };
}

export interface TopicSettings {
  /** Fixed once data exists. Default 4. */
  readonly partitions: number;
  /** No subscriber: drop, and count, instead of holding the sources back. Default false. */
  readonly optional: boolean;
  /** Jobs waiting a partition and subscription before `publish` waits; it resumes at half. Default 100. */
  readonly maxWaiting: number;
}

/** Handles a batch of a partition while it is its own; what it throws brings the batch again. */
export type Handle = (events: readonly SluiceEvent[], run: WriteRun) => Promise<void>;

export interface Session {
  readonly topics: Topics;
  readonly over: AbortSignal;
}

/** The queue: topics, their subscriptions and partitions. Two implementations, one conformance suite. */
export interface Topics {
  readonly durability: () => Promise<Durability>;
  /** Resolves while it can be used; rejects with why it cannot: it is away, full, or refuses what somebody here keeps trying. Within 3 s. */
  readonly probe: () => Promise<void>;
  /** What the place is, what it may lose, and what is wrong with it. Changes nothing. */
  readonly check: () => Promise<readonly Finding[]>;
  /**
   * Resolves when every subscription has the events. Reads the registry before and after adding, and
   * adds to newcomers until it is stable: that last read is the moment of publication (Invariant 3).
   * Waits while a subscription is full, unless that is to be detached then (Invariants 9, 13), and while a topic that is not optional has no
   * subscription (Invariant 4). Calls for one topic must not overlap in one process: the caller has one batch in flight.
   *
   * `fence` says under which lease (of the whole project) the events were read. Once a later holder has published to a partition,
   * nothing of an earlier one reaches it, be it on its way already: `FencedError` (Invariant 2).
   */
  readonly publish: (
    topic: string,
    events: readonly SluiceEvent[],
    run: { readonly signal: AbortSignal; readonly fence?: Fence },
  ) => Promise<void>;
  /**
   * These topics for as long as nothing of theirs can have been lost: for whoever publishes in order. When Redis is
   * restarted `over` aborts, and from then on `publish` rejects with `RetryableError` `redis.restarted`: what
   * comes next must wait until what may be lost is read again (Invariant 2).
   */
  readonly session: () => Promise<Session>;
  /** All published so far survives power loss, as far as `durability()` can: at once for `disk` and `memory`, 5 s later for `second`. */
  readonly settled: (run: { readonly signal: AbortSignal }) => Promise<void>;
  readonly subscribe: (subscription: Subscription) => Promise<"new" | "known">;
  /** Ends a subscription and drops what waited for it. */
  readonly unsubscribe: (topic: string, name: string) => Promise<void>;
  readonly subscriptions: (topic?: string) => Promise<readonly SubscriptionStatus[]>;
  /** Who is subscribed. One cheap read, to be asked every second. */
  readonly subscribers: (topic: string) => Promise<readonly Subscriber[]>;
  /**
   * Hands over the batches of this process's fair share of the partitions: one partition one batch at
   * a time, in order of publication; partitions in parallel. A batch is repeated whole, first in its
   * partition, until `handle` returns (Invariant 2). Resolves after an abort, once running handles have
   * ended; what they did not finish is handed back to the head.
   */
  readonly consume: (
    topic: string,
    name: string,
    handle: Handle,
    run: { readonly signal: AbortSignal },
  ) => Promise<void>;
  /** The first events that wait behind what is being handled, a job's worth a partition, or those `skip` jobs behind them. Takes nothing. */
  readonly peek: (topic: string, name: string, skip?: number) => Promise<readonly SluiceEvent[]>;
  /**
   * Live copies of what is published from now on (resolves when that holds), by whatever process. It subscribes to
   * nothing and holds nothing back: who reads too slowly is told how many events it missed. Ends on abort.
   */
  readonly tap: (
    topic: string,
    run: { readonly signal: AbortSignal; readonly missed?: (events: number) => void },
  ) => Promise<AsyncIterable<SluiceEvent>>;
  /**
   * Takes the events of some records out of all that waits, in every topic. What a consumer has in its hands
   * is not reached. Resolves to how many it was, a copy for each subscription counted where there are such.
   */
  readonly erase: (records: Records) => Promise<number>;
  /** Ends everything within `graceMs`. May be called twice. */
  readonly close: (graceMs: number) => Promise<void>;
}

/** Records of one source, by their subjects. */
export interface Records {
  readonly source: string;
  readonly has: (subject: string) => boolean;
}

/** An event given up on, with the reason. */
export interface DeadLetter {
  readonly id: string;
  readonly connector: string;
  /** The transform that refused it, `write`, `parked` or, of a source, `publish`. */
  readonly stage: string;
  readonly topic: string;
  readonly event: SluiceEvent;
  readonly error: { readonly code: string; readonly message: string; readonly fix?: string };
  readonly attempts: number;
  /** RFC 3339. */
  readonly firstAt: string;
  readonly lastAt: string;
  /** Sorts by when they were given up on: those of one key in their order. Of versions before, absent. */
  readonly order?: string;
  /** The line it stands in (`onPoison: "park"`), with whatever came of its key since. */
  readonly line?: string;
}

/** A letter at its place in a line. */
export type ParkedLetter = DeadLetter & { readonly line: string; readonly order: string };

/** One key's dead letters, one behind the other. There is one as long as a letter stands in it. */
export interface Line {
  /** The order of the letter that came last. */
  readonly last: string;
  /** Its letters are to be handled again, the first one first, before anything else of its key. */
  readonly isReleased: boolean;
  readonly revision: number;
}

export interface DeadLetters {
  /** Resolves when it is durable. The same id is the same letter. */
  readonly add: (letter: DeadLetter) => Promise<void>;
  readonly list: (
    connector: string,
    options?: { readonly after?: string; readonly pageSize?: number },
  ) => AsyncIterable<readonly DeadLetter[]>;
  /** How many there are now, in one cheap look. */
  readonly count: (connector: string) => Promise<number>;
  /** The letters of events with these correlation ids: of each the one that was kept last. */
  readonly correlated: (
    connector: string,
    correlationids: readonly string[],
  ) => Promise<readonly DeadLetter[]>;
  /** Those of these that are kept. */
  readonly get: (connector: string, ids: readonly string[]) => Promise<readonly DeadLetter[]>;
  /** A line ends with its last letter. */
  readonly remove: (connector: string, ids: readonly string[]) => Promise<void>;
  /** Keeps a letter and has its line wait, in one write. False when the line is not as it was `before`: somebody else has its key. */
  readonly park: (letter: ParkedLetter, before: Line | undefined) => Promise<boolean>;
  /** In the order of the names. One read. */
  readonly lines: (
    connector: string,
    names: readonly string[],
  ) => Promise<readonly (Line | undefined)[]>;
  /** The letters of a line, the first one first. */
  readonly standing: (connector: string, line: string) => AsyncIterable<readonly DeadLetter[]>;
  /** Lets a line that there is be handled again. */
  readonly release: (connector: string, line: string) => Promise<void>;
  /** The line, if a letter stands in it; what a crash left of one that has none is cleared away. */
  readonly occupied: (connector: string, line: string) => Promise<Line | undefined>;
}
