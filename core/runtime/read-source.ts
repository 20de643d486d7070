import { setTimeout as sleep } from "node:timers/promises";
import type { SourceConnector } from "../config/pipeline.ts";
import type { SourceBatch, SourceContext } from "../connector.ts";
import { ConfigError, SluiceError } from "../errors.ts";
import type { Json, SluiceEvent } from "../event.ts";
import { prefixed } from "../state/prefixed.ts";
import type { Lease, Scope } from "../state/state.ts";
import { checkpointKey, ownPrefix } from "./keys.ts";
import { requestFeed } from "./requests.ts";
import type { TaskRun } from "./task.ts";
import { untilAborted } from "./until-aborted.ts";
import { versionClock } from "./versions.ts";

/** How long a source may take to return after an abort before it is left behind. */
const returnWithinMs = 2_000;
const compareEveryMs = 5_000;

/**
 * One run of a source under its lease: from its stored checkpoint, one batch in flight. Returns when
 * the source has no more to read; throws what ended it.
 */
export async function readSource(
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
  const asked = requestFeed(scope.state, { fence: lease, log, signal });
  const context: SourceContext<unknown, unknown> = {
    name: connector.name,
    config: connector.config,
    checkpoint: stored && parsedCheckpoint(connector, stored.value),
    state: prefixed(scope.state, ownPrefix),
    nextVersion: versionClock(lease.token),
    settled: () => backend.topics.settled({ signal }),
    requests: asked.requests,
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
    const { events, checkpoint, writes = [], completes = [] } = batch;
    if (events.length > 0) await backend.topics.publish(connector.to, events, { signal });
    const value = connector.source.checkpoint.parse(checkpoint) as Json; // a schema of JSON values, see SourceDefinition
    const isStored = await scope.state.all(
      [
        { key: checkpointKey, value, expect: revision },
        ...writes.map((write) => ({ ...write, key: ownPrefix + write.key })),
        ...asked.completed(completes),
      ],
      lease,
    );
    if (!isStored) throw checkpointMoved();
    revision += 1;
    board.handled(events.filter(isAboutOne).length);
    if (completes.length > 0) log.info({ requests: completes }, "snapshot done");
  }
}

/** A clear is about many records: it would count as none or as all of them. */
export function isAboutOne(event: SluiceEvent): boolean {
  return event.type !== "dev.sluice.collection.cleared";
}

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
