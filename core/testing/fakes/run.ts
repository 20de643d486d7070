import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { checkEvents } from "../../check-event.ts";
import type { SnapshotRequest, Source, SourceBatch, SourceContext } from "../../connector.ts";
import type { SluiceEvent } from "../../event.ts";
import { askedWrite, pendingRequests, requestFeed } from "../../runtime/requests.ts";
import { prefixed } from "../../state/prefixed.ts";
import { version, type Version } from "../../version.ts";
import { within } from "../conformance.ts";
import { context, type FakeContext } from "./context.ts";
import { state as fakeState, type FakeState } from "./state.ts";

const leaseName = "source";
const checkpointKey = "checkpoint";
/** Where the runner's own things lie: sources do not look there. */
const runnerPrefix = "@runner/";

/** How far a source said it was. */
export type Progress = Parameters<SourceContext<unknown, unknown>["progress"]>[0];

/** A source at work, driven as the runner drives it. */
export interface SourceRun extends Pick<FakeContext<unknown>, "lines" | "counters"> {
  /** Published so far, in order. */
  readonly events: readonly SluiceEvent[];
  readonly batches: readonly SourceBatch<unknown>[];
  readonly progress: readonly Progress[];
  /** Asks for a snapshot. It is asked for again in every later run over the same state, until a batch completes it. */
  readonly request: (request: SnapshotRequest) => Promise<void>;
  /** Ids of what was asked for and is not completed. */
  readonly pending: () => Promise<readonly string[]>;
  /**
   * Resolves when `what` holds of the events. Rejects, saying that it waited for `wanted`, when the
   * source ends first or nothing comes for `patienceMs`, or too much for four times that.
   */
  readonly until: (
    what: (events: readonly SluiceEvent[]) => boolean,
    wanted?: string,
  ) => Promise<void>;
  /** Stops asking once the next events are published; batches without events go on. */
  readonly pause: () => void;
  readonly resume: () => void;
  /** Resolves when `read` has returned; rejects with what it threw. */
  readonly ended: Promise<void>;
  /** Aborts, waits up to 5 s for the end and gives the lease back. Resolves to the milliseconds `read` took to return. */
  readonly stop: () => Promise<number>;
}

const returnWithinMs = 5_000;

/**
 * Starts a source: one batch in flight, each published, then its checkpoint and writes stored in one
 * step, then the next asked for. Every checkpoint goes through JSON and its schema. `state` carries
 * over to a later run. `killWhen` ends the run as a crash would: the batch that makes it true is
 * published and never checkpointed.
 */
export async function run(
  source: Source,
  given: {
    readonly config: unknown;
    readonly name?: string;
    readonly state?: FakeState;
    /** How long `until` bears silence; 5 s by default. */
    readonly patienceMs?: number;
    readonly killWhen?: (events: readonly SluiceEvent[]) => boolean;
    /** Called with every batch before its checkpoint is stored: the moment of publication. */
    readonly publish?: (events: readonly SluiceEvent[]) => Promise<void>;
    /** When what was published survives power loss; at once by default. */
    readonly settled?: SourceContext<unknown, unknown>["settled"];
    /** What it logs to and is stopped by, config included, instead of a fake of its own. */
    readonly using?: FakeContext<unknown>;
  },
): Promise<SourceRun> {
  const { killWhen, patienceMs = 5_000, state: place = fakeState(), ...rest } = given;
  const { publish, settled = async () => {}, using } = given;
  // A run that was killed did not release it.
  place.lapse(leaseName);
  const lease = await place.leases.acquire(leaseName, 10_000);
  assert.ok(lease, "the lease was just freed");
  const [saved] = await place.state.get([checkpointKey]);

  const aborter = new AbortController();
  const { signal } = aborter;
  const changes = new EventEmitter();
  const fresh = () => context({ ...rest, config: source.config.parse(given.config) });
  const base = { ...(using ?? fresh()), ...place, signal };
  const kept = prefixed(place.state, runnerPrefix);
  const asked = requestFeed(kept, { fence: lease, log: base.log, signal });
  const events: SluiceEvent[] = [];
  const batches: SourceBatch<unknown>[] = [];
  const progress: Progress[] = [];
  let paused = false;
  let over = false;

  const work = async () => {
    const reading = source.read({
      ...base,
      checkpoint: saved && source.checkpoint.parse(saved.value),
      nextVersion: versions(lease.token),
      settled,
      requests: asked.requests,
      refuse: asked.refuse,
      tap: async () => (async function* () {})(),
      givenUp: async () => [],
      progress: (value) => void progress.push(value),
    });
    for await (const batch of reading) {
      const checkpoint = throughJson(batch.checkpoint);
      source.checkpoint.parse(checkpoint);
      batches.push(batch);
      events.push(...checkEvents(batch.events));
      for (const { type } of batch.events)
        assert.ok(
          source.emits.some((prefix) => type.startsWith(prefix)),
          `${type} is not among what the source says it emits`,
        );
      await publish?.(batch.events);
      if (killWhen?.(events)) return;
      const forgotten = asked
        .completed(batch.completes ?? [])
        .map((write) => ({ ...write, key: runnerPrefix + write.key }));
      const stored = { key: checkpointKey, value: checkpoint };
      const writes = [...(batch.writes ?? []), ...forgotten, stored];
      assert.ok(await place.state.all(writes, lease), "checkpoint and writes are stored");
      changes.emit("change");
      while (paused && batch.events.length > 0 && !signal.aborted)
        await once(changes, "change", { signal });
      if (signal.aborted) return;
    }
  };
  const ended = work()
    .catch((error: unknown) => {
      // Every `await` of a source takes the signal, so an abort may well surface as its reason.
      if (!signal.aborted || !(error instanceof Error && error.name === "AbortError")) throw error;
    })
    .finally(() => {
      over = true;
      aborter.abort();
      changes.emit("change");
    });
  ended.catch(() => {}); // Whoever awaits `until`, `ended` or `stop` gets it.

  return {
    events,
    batches,
    progress,
    lines: base.lines,
    counters: base.counters,
    ended,
    request: async (request) => {
      await kept.each([askedWrite(request)]);
      asked.look();
    },
    pending: async () => (await pendingRequests(kept)).map(({ id }) => id),
    pause: () => void (paused = true),
    resume: () => {
      paused = false;
      changes.emit("change");
    },
    until: async (what, wanted = "what the test is for") => {
      const start = performance.now();
      const failed = (why: string) =>
        `waited for ${wanted}, but ${why}; published: ${told(events)}`;
      while (!what(events)) {
        if (over) await ended;
        assert.ok(!over, failed("the source ended"));
        const leftMs = start + patienceMs * 4 - performance.now();
        assert.ok(leftMs > 0, failed(`it did not come within ${patienceMs * 4} ms`));
        const quiet = new AbortController();
        const timer = setTimeout(() => quiet.abort(), Math.min(patienceMs, leftMs));
        await once(changes, "change", { signal: quiet.signal })
          .catch(() => assert.fail(failed(`nothing came for ${patienceMs} ms`)))
          .finally(() => clearTimeout(timer));
      }
    },
    stop: async () => {
      const start = performance.now();
      aborter.abort();
      await within(
        returnWithinMs,
        ended,
        "to return after an abort (pass `signal` to whatever `read` waits for)",
      );
      await lease.release();
      return performance.now() - start;
    },
  };
}

/** As the runner makes them: rising within a run by the clock, over runs by the lease's token. */
function versions(epoch: number): () => Version {
  let last = 0n;
  return () => {
    const now = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1_000));
    last = now > last ? now : last + 1n;
    return version({ epoch, position: last, rank: 0, tail: 0 });
  };
}

function throughJson(checkpoint: unknown) {
  const copy: unknown = JSON.parse(JSON.stringify(checkpoint ?? null));
  assert.deepEqual(copy, checkpoint ?? null, "a checkpoint is JSON");
  return copy as Parameters<typeof JSON.stringify>[0];
}

function told(events: readonly SluiceEvent[]): string {
  const last = events.slice(-10).map(({ id, type }) => `${type.split(".").at(-1)} ${id}`);
  return `${events.length} events ${JSON.stringify(last)}`;
}
