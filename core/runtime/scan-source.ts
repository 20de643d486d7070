import { setTimeout as sleep } from "node:timers/promises";
import type { SourceConnector } from "../config/pipeline.ts";
import type { Log, SnapshotRequest, SourceContext } from "../connector.ts";
import type { SluiceEvent } from "../event.ts";
import { scratchState } from "../state/scratch.ts";
import { blamed } from "./blame.ts";
import { versionClock } from "./versions.ts";

/** A batch that is under way when a source says that it streams has this long to arrive. */
const lastBatchMs = 100;

export interface ScanRun {
  /** Names what a source made at its origin, as in `Context`. */
  readonly project: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Why a source cannot be read without leaving a trace; `undefined` when it can. */
export function whyNotScanned({ source }: SourceConnector): string | undefined {
  if (source.scan) return undefined;
  if (source.remove) return `a ${source.name} source makes things at its origin when it reads`;
  if (source.capabilities.forgets) return `reading a ${source.name} source consumes it`;
  return undefined;
}

/**
 * Everything a source holds now, once, as its first snapshot would emit it. Nothing is published, stored
 * or confirmed: neither the origin nor a running pipeline notices.
 */
export async function* scanSource(
  connector: SourceConnector,
  run: ScanRun,
): AsyncGenerator<readonly SluiceEvent[], void> {
  const { source, name, config } = connector;
  const end = new AbortController();
  const signal = AbortSignal.any([run.signal, end.signal]);
  const base = {
    name,
    project: run.project,
    config,
    signal,
    log: run.log,
    state: scratchState(),
    meter: () => {},
  };
  try {
    if (source.scan) yield* source.scan(base);
    else yield* untilStreaming(source.read, base, signal);
  } catch (error) {
    throw run.signal.aborted ? error : blamed(`source "${name}" (${source.name})`, error);
  } finally {
    end.abort();
  }
}

async function* untilStreaming(
  read: SourceConnector["source"]["read"],
  base: Omit<SourceContext<unknown, unknown>, keyof Sourcing>,
  signal: AbortSignal,
): AsyncGenerator<readonly SluiceEvent[], void> {
  let streams = () => {};
  const streaming = new Promise<void>((resolve) => (streams = resolve));
  const sourcing: Sourcing = {
    checkpoint: undefined,
    nextVersion: versionClock(0),
    settled: async () => {},
    requests: nobodyAsks(signal),
    refuse: async () => {},
    tap: async () => (async function* () {})(),
    givenUp: async () => [],
    progress: ({ phase }) => phase === "streaming" && streams(),
  };
  const batches = read({ ...base, ...sourcing })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = batches.next();
      next.catch(() => undefined); // rejects with the abort, when nobody waits for it any more
      const first = await Promise.race([next, streaming]);
      const last = first ?? (await Promise.race([next, sleep(lastBatchMs)]));
      if (!last || last.done) return;
      yield last.value.events;
    }
  } finally {
    // Not awaited: a source that waits for changes ends with the abort that follows.
    void batches.return?.(undefined).catch(() => undefined);
  }
}

type Sourcing = Pick<
  SourceContext<unknown, unknown>,
  "checkpoint" | "nextVersion" | "settled" | "requests" | "refuse" | "tap" | "givenUp" | "progress"
>;

async function* nobodyAsks(signal: AbortSignal): AsyncGenerator<SnapshotRequest, void> {
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
