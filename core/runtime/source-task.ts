import { setTimeout as sleep } from "node:timers/promises";
import type { SourceConnector } from "../config/pipeline.ts";
import type { SnapshotRequest, SourceBatch, SourceContext } from "../connector.ts";
import { ConfigError, FencedError, PositionLostError, SluiceError } from "../errors.ts";
import type { Json, SluiceEvent } from "../event.ts";
import { prefixed } from "../state/prefixed.ts";
import type { Lease, Scope } from "../state/state.ts";
import { backoff } from "./backoff.ts";
import type { TaskRun } from "./task.ts";
import { versionClock } from "./versions.ts";

const standbyPollMs = 500;
const maxRestartDelayMs = 30_000;
/** How long a source may take to return after an abort before it is left behind. */
const returnWithinMs = 2_000;
const checkpointKey = "checkpoint";
const compareEveryMs = 5_000;
/** A run that lasted this long was healthy: the next failure starts the back-off anew. */
const healthyAfterMs = 60_000;

/**
 * Runs a source once in the cluster: under its lease, from its stored checkpoint, started again after
 * every failure that may pass. Returns on abort or when the source has no more to read; throws the
 * `ConfigError` or `PositionLostError` that stops it for good.
 */
export async function runSource(connector: SourceConnector, run: TaskRun): Promise<void> {
  const { backend, board, log, leaseMs, signal } = run;
  const scope = backend.state.scope(connector.name);
  let failures = 0;
  let isStandby = false;
  while (!signal.aborted) {
    const startedAt = performance.now();
    let lease: Lease | undefined;
    try {
      lease = await scope.leases.acquire("source", leaseMs);
      if (lease) {
        isStandby = false;
        await readUnder(lease, connector, scope, run);
        return;
      }
      if (!isStandby)
        log.info(
          { withinMs: leaseMs },
          "another process reads this source, or died just now: standing by to take over",
        );
      isStandby = true;
      board.become("standby");
      await sleep(standbyPollMs, undefined, { signal });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ConfigError || error instanceof PositionLostError) throw error;
      if (error instanceof FencedError || lease?.signal.aborted) {
        log.info({}, "the source's lease is held elsewhere now");
        continue;
      }
      failures = performance.now() - startedAt > healthyAfterMs ? 0 : failures + 1;
      board.trouble("failing", error);
      log.warn({ error, failures }, "source failed, starting it again from its checkpoint");
      await backoff(failures, { maxDelayMs: maxRestartDelayMs, signal }).catch(() => undefined); // aborted: the loop ends
    } finally {
      await lease?.release().catch((error: unknown) => log.warn({ error }, "lease not released"));
    }
  }
}

async function readUnder(
  lease: Lease,
  connector: SourceConnector,
  scope: Scope,
  run: TaskRun,
): Promise<void> {
  const { backend, board, log } = run;
  const moved = new AbortController();
  const signal = AbortSignal.any([run.signal, lease.signal, moved.signal]);
  const [stored] = await scope.state.get([checkpointKey]);
  let revision = stored?.revision ?? 0;
  const context: SourceContext<unknown, unknown> = {
    name: connector.name,
    config: connector.config,
    checkpoint: stored && parsedCheckpoint(connector, stored.value),
    state: prefixed(scope.state, ownPrefix),
    nextVersion: versionClock(lease.token),
    settled: () => backend.topics.settled({ signal }),
    requests: noRequests(signal),
    progress: board.progress,
    meter: board.meter,
    log,
    signal,
  };
  board.become("running");
  log.info({ resumed: stored !== undefined }, "source started");

  // Invariant 1: a store that went back (Redis restarted from an older file) is noticed also while nothing happens.
  const watch = setInterval(() => {
    const atLeast = revision;
    scope.state.get([checkpointKey]).then(
      ([now]) => (now?.revision ?? 0) < atLeast && moved.abort(checkpointMoved()),
      (error: unknown) => log.debug({ error }, "checkpoint not compared"),
    );
  }, compareEveryMs);
  const batches = connector.source.read(context)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await untilAborted(batches.next(), signal);
      if (next.done) return signal.throwIfAborted(); // it ended because it had to, or because it had no more
      await store(next.value);
      board.become("running");
    }
  } finally {
    clearInterval(watch);
    await Promise.race([
      batches
        .return?.(undefined)
        .catch((error: unknown) => log.warn({ error }, "source did not close")),
      sleep(returnWithinMs, undefined, { ref: false }),
    ]);
  }

  /** Invariant 1: the checkpoint is stored only after the events are durable in the queue. */
  async function store(batch: SourceBatch<unknown>): Promise<void> {
    const { events, checkpoint, writes = [] } = batch;
    if (events.length > 0) await backend.topics.publish(connector.to, events, { signal });
    const value = connector.source.checkpoint.parse(checkpoint) as Json; // a schema of JSON values, see SourceDefinition
    const isStored = await scope.state.all(
      [
        { key: checkpointKey, value, expect: revision },
        ...writes.map((write) => ({ ...write, key: ownPrefix + write.key })),
      ],
      lease,
    );
    if (!isStored) throw checkpointMoved();
    revision += 1;
    board.handled(events.filter(isAboutOne).length);
  }
}

/** A clear is about many records: it would count as none or as all of them. */
export function isAboutOne(event: SluiceEvent): boolean {
  return event.type !== "dev.sluice.collection.cleared";
}

/** A connector's own keys lie under this; the runner's beside it. */
export const ownPrefix = "own/";

function checkpointMoved(): SluiceError {
  return new SluiceError(
    "the stored checkpoint is not the one last written: state went back, or a write's `expect` did not match.",
    { code: "source.checkpoint-moved" },
  );
}

function parsedCheckpoint(connector: SourceConnector, value: Json): unknown {
  const result = connector.source.checkpoint.safeParse(value);
  if (result.success) return result.data;
  throw new ConfigError(
    `source "${connector.name}": the stored checkpoint ${JSON.stringify(value)} is not one of ${connector.source.name}@${connector.source.version}.`,
    {
      code: "source.checkpoint-invalid",
      fix: "Was the connector's type changed under the same name? Give it a new name.",
      cause: result.error,
    },
  );
}

/** The value, or a rejection as soon as the signal aborts: a source that hangs must not hang the stop. */
async function untilAborted<T>(value: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([value, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Nobody can ask for a snapshot of a running source yet: ends on abort. */
async function* noRequests(signal: AbortSignal): AsyncGenerator<SnapshotRequest, void> {
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
