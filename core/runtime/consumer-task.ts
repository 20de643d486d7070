import { setMaxListeners } from "node:events";
import type { SinkConnector, TransformConnector } from "../config/pipeline.ts";
import type { Context, Writer, WriteRun } from "../connector.ts";
import { ConfigError, FencedError, SluiceError } from "../errors.ts";
import { isRecordChange, isUpsert, type SluiceEvent } from "../event.ts";
import { matchesFilter } from "../filter.ts";
import { passedOn } from "../queue/audience.ts";
import { prefixed } from "../state/prefixed.ts";
import { backoff } from "./backoff.ts";
import { openServing } from "./catch-up.ts";
import { openChildren } from "./children.ts";
import { undertaker } from "./bury.ts";
import { coalesce } from "./coalesce.ts";
import { deliver, succeeds, type Delivery } from "./deliver.ts";
import { firstOther } from "./first-other.ts";
import { guarded, type Failure } from "./failure.ts";
import { ownPrefix } from "./keys.ts";
import { isAboutOne } from "./read-source.ts";
import type { OpenStage } from "./outcome.ts";
import { apart, isRelease, openParking } from "./parking.ts";
import { openPublishing } from "./publishing.ts";
import { staySubscribed, subscribe } from "./stay-subscribed.ts";
import { isAccepted, throughStages, unaccepted, type Slot } from "./stages.ts";
import type { TaskRun } from "./task.ts";
import { tracedHandle, tracedPublish } from "./tracing.ts";
import { sharedBoard } from "./troubles.ts";

/** How many waiting jobs are looked through for an event that may be tried: those of busy keys that are held may wait first. */
const mostProbed = 20;

type ConsumerConnector = SinkConnector | TransformConnector;

/**
 * Runs a sink, or a transform between two topics: its subscriptions' batches go through the inline
 * transforms and into the writer until each event is written or a dead letter. Returns on abort;
 * throws the `ConfigError` that stops it for good.
 */
export async function runConsumer(connector: ConsumerConnector, run: TaskRun): Promise<void> {
  const { backend, board, log } = run;
  const stop = new AbortController();
  const signal = AbortSignal.any([run.signal, stop.signal]);
  const opened = await openPatiently(connector, { ...run, signal });
  if (!opened) return;
  const { stages, writer } = opened;
  const health = { succeededAt: 0 };
  const partOf = sharedBoard(board);
  const bury = undertaker(connector.name, run);
  const isParking = connector.onPoison === "park";
  board.become("running");
  log.info({ from: connector.from }, `${connector.kind} started`);

  let inHand = 0;

  const handle = async (topic: string, batch: readonly SluiceEvent[], write: WriteRun) => {
    const { filter } = connector;
    setMaxListeners(0, write.signal); // one a request, of a writer that makes one an event
    await run.gate(write.signal);
    const events = batch.filter((event) => !isRelease(event));
    const wanted = filter ? events.filter((event) => matchesFilter(filter, event)) : events;
    // What a transform passes on to one subscription only must not replace what all get.
    const tries = (some: readonly SluiceEvent[]) => attempt(some, stages, writer, write);
    const parking = openParking(
      { connector: connector.name, topic },
      { deadLetters: backend.deadLetters, bury },
    );
    const probe = async () => {
      const place = { partitions: run.topics[topic]?.partitions ?? 1, filter };
      for (let skip = 0; skip < mostProbed; skip++) {
        const waiting = await backend.topics.peek(topic, connector.name, skip);
        const free = await parking.unheld(waiting.filter((event) => !isRelease(event)));
        const next = firstOther(free, batch, place);
        if (next) return succeeds([next], { attempt: tries, signal: write.signal });
        if (waiting.length === 0) break;
      }
      return false;
    };
    const groups = coalesce(wanted, { perAudience: connector.kind === "transform" });
    const part = partOf();
    const delivered = (some: readonly SluiceEvent[], buried: Delivery["bury"]) =>
      deliver(some, {
        attempt: tries,
        probe,
        bury: buried,
        retry: connector.retry,
        health,
        board: part,
        log,
        signal: write.signal,
      });
    try {
      await parking.obey(batch.filter(isRelease), delivered);
      for (const group of isParking ? groups.flatMap(apart) : groups)
        await delivered(
          isParking ? await parking.admit(group, delivered) : group,
          (event, failure, attempts, firstAt) =>
            bury(
              { topic, event, ...failure, attempts, firstAt },
              isParking ? parking.placeOf(event) : undefined,
            ),
        );
    } finally {
      part.close();
    }
    board.passed(events);
    board.handled(events.filter(isAboutOne).length);
  };

  let fatal: unknown;
  const handleOrStop: typeof handle = async (topic, events, write) => {
    inHand += 1;
    try {
      await tracedHandle({ connector: connector.name, topic }, events, () =>
        handle(topic, events, write),
      );
    } catch (error) {
      if (error instanceof ConfigError) {
        fatal ??= error;
        stop.abort(error);
      } else if (error instanceof FencedError && !write.signal.aborted)
        log.warn(
          { error, events: events.length },
          "batch handed back: its lease ended before it was done",
        );
      throw error;
    } finally {
      inHand -= 1;
    }
  };
  // Somebody may have removed it while the connector was stopped.
  for (const topic of connector.from) await subscribe(connector, topic, backend.topics);
  if (connector.whenFull === "detach")
    for (const topic of connector.from)
      void staySubscribed(connector, topic, {
        topics: backend.topics,
        isIdle: () => inHand === 0,
        gate: run.gate,
        log,
        signal,
      }); // never rejects
  try {
    await Promise.all(
      connector.from.map((topic) =>
        backend.topics.consume(
          topic,
          connector.name,
          (events, write) => handleOrStop(topic, events, write),
          { signal },
        ),
      ),
    );
  } finally {
    stop.abort();
    await Promise.allSettled([writer.close(), closeAll(stages)]);
  }
  if (fatal !== undefined) throw fatal;
}

/** One try of a group: what a sink sees is what left the transforms, at most one event a record. */
async function attempt(
  events: readonly SluiceEvent[],
  stages: readonly OpenStage[],
  writer: OpenWriter,
  run: WriteRun,
): Promise<readonly Failure[]> {
  const write = (slots: readonly Slot[]) => writeSlots(slots, writer, run);
  return await throughStages(stages, events, { signal: run.signal, fence: run.fence, write });
}

async function writeSlots(
  slots: readonly Slot[],
  writer: OpenWriter,
  run: WriteRun,
): Promise<readonly Failure[]> {
  const all: Failure[] = [];
  const written = slots.filter(({ at, event }) => {
    const isTaken =
      isAccepted(writer.accepts, event) || (isRecordChange(event) && !isUpsert(event));
    if (!isTaken) all.push({ at, stage: "write", error: unaccepted(writer.name, event) });
    return isTaken;
  });
  if (written.length === 0) return all;
  const result = await guarded("write", () =>
    writer.write(
      written.map(({ event }) => event),
      run,
    ),
  );
  if ("failures" in result)
    for (const { at, stage, error } of result.failures) {
      const slot = written[at];
      if (!slot) throw badIndex(writer.name, at);
      all.push({ at: slot.at, stage, error });
    }
  return all;
}

interface OpenWriter extends Writer {
  readonly name: string;
  readonly accepts: readonly string[];
}

/** Opens transforms and writer, for as long as it takes; undefined after an abort. */
async function openPatiently(
  connector: ConsumerConnector,
  run: TaskRun,
): Promise<{ stages: readonly OpenStage[]; writer: OpenWriter } | undefined> {
  const { board, log, signal } = run;
  for (let tries = 0; !signal.aborted; tries++) {
    const stages: OpenStage[] = [];
    try {
      for (const stage of connector.transforms) {
        const worker = await stage.transform.open(contextOf(connector.name, stage.config, run));
        const { state } = run.backend.state.scope(connector.name);
        const again = stages.filter(({ use }) => use === stage.use).length;
        const name = again === 0 ? stage.use : `${stage.use}~${again + 1}`;
        const children = await openChildren(state, name, worker.splits ?? false);
        stages.push({ ...stage, worker, children });
      }
      return { stages, writer: await openWriter(connector, run) };
    } catch (error) {
      await closeAll(stages);
      if (error instanceof ConfigError) throw error;
      if (signal.aborted) return undefined;
      board.trouble("failing", error);
      log.warn({ error, tries }, `${connector.kind} could not open, trying again`);
      await backoff(tries, { maxDelayMs: 30_000, signal }).catch(() => undefined); // aborted: the loop ends
    }
  }
  return undefined;
}

async function openWriter(connector: ConsumerConnector, run: TaskRun): Promise<OpenWriter> {
  if (connector.kind === "sink") {
    const { sink, name, config } = connector;
    const writer = await sink.open(contextOf(name, config, run));
    return {
      name,
      accepts: sink.accepts,
      write: (events, write) => writer.write(events, write),
      close: () => writer.close(),
    };
  }
  const { name, from, to } = connector;
  const { backend, log, signal } = run;
  const serving = await openServing(
    {
      producer: { kind: "transform", name, topic: to, from },
      topics: backend.topics,
      state: backend.state,
      isOptional: run.topics[to]?.optional ?? false,
      log,
      signal,
    },
    { isAnew: false, asked: () => undefined },
  );
  const { topics, state: place } = backend;
  const publishing = openPublishing(name, { topics, place, log });
  // Partitions are handled in parallel, but a topic is published to one call at a time.
  let last: Promise<unknown> = Promise.resolve();
  const write: Writer["write"] = async (events, { signal, fence }) => {
    const publish = async () => {
      await serving.begun({ signal });
      await tracedPublish({ connector: name, topic: to }, events.map(passedOn), (all) =>
        publishing(to, all, { signal, fence }),
      );
      run.board.meter("published", events.length);
    };
    const turn = last.then(publish);
    last = turn.catch(() => undefined); // told to this call's caller; the next one goes on
    await turn;
  };
  return { name, accepts: [""], write, close: async () => {} };
}

async function closeAll(stages: readonly OpenStage[]): Promise<void> {
  await Promise.allSettled(stages.map(async ({ worker }) => await worker.close?.()));
}

function contextOf<C>(name: string, config: C, run: TaskRun): Context<C> {
  const { backend, board, log, signal } = run;
  const state = prefixed(backend.state.scope(name).state, ownPrefix);
  return { name, project: backend.project, config, signal, log, state, meter: board.meter };
}

function badIndex(name: string, at: number): SluiceError {
  return new SluiceError(`${name}: PartialError names event ${at}, which was not in the call.`, {
    code: "sink.contract",
    fix: "Mend the sink: failures are indexes into the events of the call.",
  });
}
