import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { checkEvents } from "../check-event.ts";
import type { SourceConnector } from "../config/pipeline.ts";
import type { SourceBatch, SourceContext } from "../connector.ts";
import { ConfigError, FencedError, SluiceError } from "../errors.ts";
import type { Json, SluiceEvent } from "../event.ts";
import type { Durability } from "../queue/queue.ts";
import { prefixed } from "../state/prefixed.ts";
import type { Lease, Scope } from "../state/state.ts";
import { undertaker } from "./bury.ts";
import { openServing } from "./catch-up.ts";
import { givenUp, producersOf } from "./given-up.ts";
import { checkpointKey, ownPrefix } from "./keys.ts";
import { listProducers, producerOf } from "./producers.ts";
import { openPublishing } from "./publishing.ts";
import { requestFeed } from "./requests.ts";
import type { TaskRun } from "./task.ts";
import { tracedPublish } from "./tracing.ts";
import { untilAborted } from "./until-aborted.ts";
import { versionClock } from "./versions.ts";

/** How long a source may take to return after an abort before it is left behind. */
const returnWithinMs = 2_000;
const compareEveryMs = 5_000;
const wellAfterMs = 60_000;

export interface SourceRun extends TaskRun {
  /** The runs before it that failed, one after the other: it counts as failing until there is a sign that it is not. */
  readonly failures: number;
  /** The position was lost: read everything again. The stored checkpoint stays until the first batch replaces it. */
  readonly isAnew: boolean;
  /** A batch was published, and its checkpoint stored. */
  readonly advanced: () => void;
}

/**
 * One run of a source under its lease: from its stored checkpoint, one batch in flight. Returns when
 * the source has no more to read; throws what ended it.
 */
export async function readSource(
  lease: Lease,
  connector: SourceConnector,
  scope: Scope,
  run: SourceRun,
): Promise<void> {
  const { backend, board, log, isAnew, advanced } = run;
  const moved = new AbortController();
  const signal = AbortSignal.any([run.signal, lease.signal, moved.signal]);
  setMaxListeners(0, signal); // each batch of the last seconds waits on it to be settled
  const loss = lossOf(connector, await untilAborted(backend.topics.durability(), signal));
  if (loss) throw loss;
  const [stored] = await scope.state.get([checkpointKey]);
  const resumed = isAnew ? undefined : stored;
  let revision = stored?.revision ?? 0;
  const asked = requestFeed(scope.state, { fence: lease, log, signal });
  const serving = await openServing(
    {
      producer: producerOf(connector),
      topics: backend.topics,
      state: backend.state,
      isOptional: run.topics[connector.to]?.optional ?? false,
      fence: lease,
      log,
      signal,
    },
    { isAnew: resumed === undefined, asked: asked.look },
  );
  // A source that yields nothing and tells of no progress is well when it has not failed again for long.
  const isWell = () => board.become("running");
  const unfailing = setTimeout(isWell, wellAfterMs).unref();
  const context: SourceContext<unknown, unknown> = {
    name: connector.name,
    project: backend.project,
    config: connector.config,
    checkpoint: resumed && parsedCheckpoint(connector, resumed.value),
    state: prefixed(scope.state, ownPrefix),
    nextVersion: versionClock(lease.token),
    settled: inOrder(settled),
    requests: asked.requests,
    refuse: asked.refuse,
    tap: (topic, tapping) =>
      backend.topics.tap(topic, {
        ...tapping,
        signal: AbortSignal.any([signal, tapping.signal]),
      }),
    givenUp: async (topic, correlationids) => {
      const names = producersOf(topic, await listProducers(backend.state));
      return await givenUp(correlationids, names, backend.deadLetters);
    },
    progress: (value) => {
      isWell();
      board.progress(value);
    },
    meter: board.meter,
    log,
    signal,
  };
  const bury = undertaker(connector.name, run);
  const { topics, state: place } = backend;
  const publishing = openPublishing(connector.name, { topics, place, log });
  if (run.failures === 0) isWell();
  log.info({ resumed: resumed !== undefined }, "source started");

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
      await run.gate(signal);
      const next = await untilAborted(batches.next(), signal);
      if (next.done) return signal.throwIfAborted(); // it ended because it had to, or because it had no more
      await store(next.value);
      isWell();
    }
  } finally {
    clearInterval(watch);
    clearTimeout(unfailing);
    await Promise.race([
      batches
        .return?.(undefined)
        .catch((error: unknown) => log.warn({ error }, "source did not close")),
      sleep(returnWithinMs, undefined, { ref: false }),
    ]);
  }

  /** What is no event, by the source's fault, must not stop those that are (Invariant 8). */
  async function publish(events: readonly SluiceEvent[]): Promise<void> {
    const topic = connector.to;
    try {
      await publishing(topic, events, { signal, fence: lease });
    } catch (error) {
      if (!isInvalid(error)) throw error;
      const sound: SluiceEvent[] = [];
      for (const event of events) {
        const reason = invalidity(event);
        if (reason === undefined) sound.push(event);
        else await bury({ topic, event, stage: "publish", error: reason, attempts: 1 });
      }
      await publishing(topic, sound, { signal, fence: lease });
    }
  }

  /** Invariant 1: what is confirmed must still be there. Redis may have gone back meanwhile, and we have stood still and not noticed. */
  async function settled(): Promise<void> {
    const atLeast = revision;
    await backend.topics.settled({ signal });
    const [now] = await scope.state.get([checkpointKey]);
    if ((now?.revision ?? 0) < atLeast) moved.abort(checkpointMoved());
    signal.throwIfAborted();
    if (performance.now() >= lease.until()) throw leaseOver(connector.name);
  }

  /** Invariant 1: the checkpoint is stored only after the events are durable in the queue. */
  async function store(batch: SourceBatch<unknown>): Promise<void> {
    const { events, checkpoint, writes = [], completes = [] } = batch;
    if (events.length > 0) {
      await serving.begun({ signal });
      await tracedPublish({ connector: connector.name, topic: connector.to }, events, publish);
    }
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
    advanced();
    board.checkpointed();
    board.passed(events);
    board.handled(events.filter(isAboutOne).length);
    if (completes.length > 0) log.info({ requests: completes }, "snapshot done");
  }
}

function isInvalid(error: unknown): error is SluiceError {
  return error instanceof SluiceError && error.code === "event.invalid";
}

/** What is wrong with an event; undefined when it may be published. */
function invalidity(event: SluiceEvent): SluiceError | undefined {
  try {
    checkEvents([event]);
    return undefined;
  } catch (error) {
    if (isInvalid(error)) return error;
    throw error;
  }
}

/** Why what is confirmed at the origin could be lost here (Invariant 1), unless that is accepted. */
export function lossOf(
  { name, source, durability: accepted }: SourceConnector,
  durability: Durability,
): ConfigError | undefined {
  if (!source.capabilities.forgets || accepted === "accept-loss") return undefined;
  if (durability !== "memory") return undefined;
  return new ConfigError(
    `source "${name}": its origin forgets what was confirmed, and this queue (durability memory) loses it at a restart of Redis.`,
    {
      code: "source.forgets",
      fix: `Set "appendonly yes" in Redis ("appendfsync always" to lose nothing at all), or accept the loss: "durability": "accept-loss" on "${name}".`,
    },
  );
}

/** Calls settle in the order they were made, so that a later position is never confirmed first. */
function inOrder(settled: () => Promise<void>): () => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const all = Promise.all([last, settled()]);
    all.catch(() => undefined); // the caller has it; one who does not look must not end the process
    last = all;
    return all.then(() => undefined);
  };
}

/** A clear is about many records: it would count as none or as all of them. */
export function isAboutOne(event: SluiceEvent): boolean {
  return event.type !== "dev.sluice.collection.cleared";
}

function leaseOver(name: string): FencedError {
  return new FencedError(`source "${name}": its lease is over.`, { code: "state.fenced" });
}

function checkpointMoved(): SluiceError {
  return new SluiceError(
    "the stored checkpoint is not the one last written: state went back, or a write's `expect` did not match.",
    { code: "source.checkpoint-moved" },
  );
}

/** The stored checkpoint, parsed by the source's schema. Throws `ConfigError` `source.checkpoint-invalid`. */
export function parsedCheckpoint(connector: SourceConnector, value: Json): unknown {
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
