import { SluiceError, type SnapshotRequest, type SourceContext, type Version } from "sluice";
import type { Checkpoint } from "./config.ts";
import type { Pass, Snapshot } from "./pass.ts";

/** Between two listings at least this many times as long goes by as the first of them took. */
const restFactor = 4;
const growth = 1.5;

/** Which pass runs when: a whole one at the start, one for each request, and one after the other in between. */
export interface Passes {
  readonly current: () => Pass | undefined;
  /** Begins the next one when it is due and none runs. */
  readonly advance: () => void;
  /** Ends the current one, about to be stored; gives the ids of the requests that this completes. */
  readonly finish: () => readonly string[];
  /** Milliseconds until the next one; Infinity while one runs. */
  readonly dueInMs: () => number;
  /** Objects change: the next listing comes as soon as `everyMs` allows. */
  readonly changed: () => void;
}

export interface Beginning {
  readonly isFirst: boolean;
  readonly after: string;
  readonly snapshot: Snapshot | undefined;
  readonly isPartial: boolean;
}

export function passes(
  context: Pick<SourceContext<unknown, Checkpoint>, "requests" | "checkpoint" | "refuse"> & {
    readonly nextVersion: () => Version;
  },
  run: {
    readonly everyMs: number;
    readonly idleEveryMs: number;
    /** Objects were emitted by earlier runs. */
    readonly isKnown: boolean;
    readonly begin: (from: Beginning) => Pass;
    readonly wake: () => void;
    readonly fail: (error: unknown) => void;
  },
): Passes {
  const { checkpoint, nextVersion, refuse } = context;
  const { everyMs, idleEveryMs, begin, wake, fail } = run;
  const requests = context.requests[Symbol.asyncIterator]();
  const completed = new Set<string>();
  let request: SnapshotRequest | undefined;
  let pass: Pass | undefined;
  let dueAt = 0;
  let isFirst = true;
  let isWhole = true;
  let hasChanged = false;
  let waitMs = everyMs;

  // One at a time: to ask for the next is to say that the last one is done.
  const awaitRequest = async () => {
    let next = await requests.next();
    // What a resumed snapshot completes may be asked for again before that is stored.
    for (; !next.done; next = await requests.next()) {
      const { id, collections } = next.value;
      if (collections) await refuse(id, noCollections(collections));
      else if (!completed.has(id)) break;
    }
    if (!next.done) request = next.value;
    wake();
  };
  awaitRequest().catch(fail);

  const beginning = (): Beginning => {
    const fresh = { isFirst, after: "", isPartial: false };
    if (isFirst && checkpoint?.pass) {
      const { after, snapshot } = checkpoint.pass;
      return { isFirst, after, snapshot, isPartial: snapshot?.isPartial ?? false };
    }
    if (isFirst && !checkpoint)
      return { ...fresh, snapshot: { below: nextVersion(), isForced: run.isKnown } };
    if (!request) return { ...fresh, snapshot: undefined };
    const { id, audience } = request;
    const snapshot = { id, below: nextVersion(), isForced: true };
    return { ...fresh, snapshot: audience === undefined ? snapshot : { ...snapshot, audience } };
  };

  return {
    current: () => pass,
    advance: () => {
      if (pass || !(isFirst || request || performance.now() >= dueAt)) return;
      hasChanged = false;
      const from = beginning();
      isWhole = from.after === "";
      pass = begin(from);
    },
    finish: () => {
      if (!pass) return [];
      waitMs = hasChanged ? everyMs : Math.min(waitMs * growth, Math.max(everyMs, idleEveryMs));
      // What changed in front of where it went on, while nobody ran, is seen only by the next one.
      dueAt = isWhole ? performance.now() + Math.max(waitMs, restFactor * pass.tookMs()) : 0;
      const id = pass.snapshot?.id;
      if (id !== undefined) completed.add(id);
      if (id !== undefined && request?.id === id) {
        request = undefined;
        awaitRequest().catch(fail);
      }
      isFirst = false;
      pass = undefined;
      return id === undefined ? [] : [id];
    },
    dueInMs: () => (pass ? Infinity : Math.max(0, dueAt - performance.now())),
    changed: () => void (hasChanged = true),
  };
}

/** A sweep is for a whole source. */
function noCollections(names: readonly string[]): SluiceError {
  return new SluiceError(`s3: a bucket has no collections, such as ${names.join(", ")}.`, {
    code: "s3.no-collections",
    fix: "Ask for a snapshot of all of it. For one of a prefix make that prefix a source of its own.",
  });
}
