import { setTimeout as sleep } from "node:timers/promises";
import { RetryableError, type Context, type Log, type VectorStore } from "sluice";

const firstDelayMs = 100;
const maxDelayMs = 2_000;

/** What shows, where the store tells no log position, that a write can be seen: a vector's `_h`, or its absence. */
export interface Evidence {
  readonly id: string;
  readonly mark: string | undefined;
}

/** A write, as its answer told it. */
export interface Written {
  readonly namespace: string;
  readonly lsn: bigint | undefined;
  readonly evidence: Evidence | undefined;
}

export interface Visibility {
  /** Resolves when readers of the index see the write; rejects with a `RetryableError` when that takes too long. */
  readonly seen: (write: Written, signal: AbortSignal) => Promise<void>;
  /** Observes, in its own time, how long after `times` (RFC 3339, of the changes) the write was seen. */
  readonly observe: (write: Written, times: readonly string[]) => void;
  /** Ends what still watches. */
  readonly close: () => void;
}

interface Waiter {
  readonly write: Written;
  readonly until: number;
  readonly signal: AbortSignal;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One prober a namespace, which serves all that wait; gone when nobody does. */
interface Prober {
  waiters: Waiter[];
}

const maxRemembered = 10_000;

/**
 * Tells when writes can be read. A query names the log position it has seen, so one cheap query
 * answers for all writes of a namespace; where the position is missing or goes back, a written vector
 * itself is looked for.
 */
export function visibility(options: {
  readonly store: VectorStore;
  readonly dimensions: number;
  readonly log: Log;
  readonly meter: Context<unknown>["meter"];
  /** Aborts when the sink must stop: then nothing is watched any more. */
  readonly signal: AbortSignal;
  /** Milliseconds after which waiting is given up. */
  readonly patienceMs?: number;
  /** Writes watched at once for `observe`; more are not observed. */
  readonly maxObserved?: number;
}): Visibility {
  const { store, dimensions, log, meter, signal: stop } = options;
  const { patienceMs = 60_000, maxObserved = 1_000 } = options;
  const probers = new Map<string, Prober>();
  /** The highest log position a namespace ever told. */
  const highest = new Map<string, bigint>();
  const ending = new AbortController();
  const over = AbortSignal.any([stop, ending.signal]);
  const vector = new Float32Array(dimensions).fill(1);
  let observed = 0;

  async function probe(namespace: string, prober: Prober): Promise<void> {
    let delayMs = firstDelayMs;
    while (prober.waiters.length > 0) {
      const before = prober.waiters.length;
      try {
        await look(namespace, prober);
      } catch (error) {
        if (!over.aborted) log.debug({ namespace, error }, "freshness not read");
      }
      const now = performance.now();
      const isOver = ({ until, signal }: Waiter) => over.aborted || now >= until || signal.aborted;
      settle(prober, isOver, giveUp);
      delayMs = prober.waiters.length < before ? firstDelayMs : Math.min(delayMs * 1.5, maxDelayMs);
      if (prober.waiters.length > 0) await pause(delayMs);
    }
    probers.delete(namespace);
  }

  async function look(namespace: string, prober: Prober): Promise<void> {
    const run = { namespace, signal: over };
    const { lsn } = await store.query({ vector, topK: 1 }, run);
    const before = highest.get(namespace) ?? 0n;
    const isMute = lsn === undefined || lsn < before;
    if (lsn !== undefined && !isMute) {
      if (highest.size > maxRemembered) highest.clear();
      highest.set(namespace, lsn);
      settle(prober, ({ write }) => write.lsn !== undefined && write.lsn <= lsn, done);
    } else if (lsn !== undefined)
      log.debug({ namespace, lsn: String(lsn) }, "log position went back");
    const doubtful = prober.waiters.filter(({ write }) => isMute || write.lsn === undefined);
    const ids = [...new Set(doubtful.flatMap(({ write }) => write.evidence?.id ?? []))];
    const asked = ids.slice(0, store.limits.maxFetchIds);
    if (asked.length === 0) {
      // Nothing to go by: what was acknowledged is taken for seen.
      settle(prober, (one) => doubtful.includes(one), done);
      return;
    }
    const found = new Map(
      (await store.fetch(asked, run)).map(({ id, metadata }) => [id, metadata["_h"]]),
    );
    settle(
      prober,
      (one) => {
        const { evidence } = one.write;
        if (!doubtful.includes(one)) return false;
        if (evidence === undefined) return true;
        return asked.includes(evidence.id) && found.get(evidence.id) === evidence.mark;
      },
      done,
    );
  }

  function pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: over }).catch(() => undefined); // closed: the loop ends
  }

  function wait(write: Written, signal: AbortSignal): Promise<void> {
    if (over.aborted) return Promise.reject(over.reason as Error);
    return new Promise((resolve, reject) => {
      const prober = probers.get(write.namespace);
      const until = performance.now() + patienceMs;
      const waiter = { write, until, signal, resolve, reject };
      if (prober !== undefined) {
        prober.waiters.push(waiter);
        return;
      }
      const fresh: Prober = { waiters: [waiter] };
      probers.set(write.namespace, fresh);
      void probe(write.namespace, fresh); // never rejects
    });
  }

  return {
    async seen(write, signal) {
      signal.throwIfAborted();
      const onAbort = () => {
        const prober = probers.get(write.namespace);
        if (prober) settle(prober, (one) => one.signal === signal, giveUp);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        await wait(write, signal);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
    observe(write, times) {
      if (observed >= maxObserved || over.aborted) return;
      observed += 1;
      const finish = (take: () => void) => () => {
        observed -= 1;
        take();
      };
      void wait(write, over).then(
        finish(() => freshness(meter, times)),
        finish(() => meter("freshness_unknown", times.length)),
      );
    },
    close: () => ending.abort(new Error("the sink closes")),
  };
}

/** Ends the waiters that `which` chooses. */
function settle(
  prober: Prober,
  which: (waiter: Waiter) => boolean,
  end: (waiter: Waiter) => void,
): void {
  const chosen = prober.waiters.filter(which);
  prober.waiters = prober.waiters.filter((waiter) => !chosen.includes(waiter));
  chosen.forEach(end);
}

function done({ resolve }: Waiter): void {
  resolve();
}

function giveUp({ write, signal, reject }: Waiter): void {
  if (signal.aborted) return reject(signal.reason);
  reject(
    new RetryableError(`vectors: what was written to ${write.namespace} cannot be read yet.`, {
      code: "vectors.not-visible",
      reason: "unreachable",
      fix: "Wait: the index is behind with its own work, and it is looked at again.",
    }),
  );
}

/** Upper bounds of the histogram's buckets, seconds. */
const buckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3_600];

/** A histogram out of counters: Prometheus reads them as `sluice_freshness_seconds`. */
function freshness(meter: Context<unknown>["meter"], times: readonly string[]): void {
  const now = Date.now();
  const seconds = times
    .map((time) => Math.max(0, (now - Date.parse(time)) / 1_000))
    .filter(Number.isFinite);
  if (seconds.length === 0) return;
  for (const le of [...buckets, Infinity]) {
    const count = seconds.filter((one) => one <= le).length;
    const label = le === Infinity ? "+Inf" : String(le);
    if (count > 0) meter("freshness_seconds_bucket", count, { le: label });
  }
  meter(
    "freshness_seconds_sum",
    seconds.reduce((sum, one) => sum + one, 0),
  );
  meter("freshness_seconds_count", seconds.length);
}
