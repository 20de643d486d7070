import { SluiceError, type SnapshotRequest, type SourceContext } from "sluice";
import type { Checkpoint } from "./file.ts";
import type { Looking } from "./look.ts";
import { beginPass, type Pass, type Snapshot } from "./pass.ts";

/** A full scan may take up to this share of the time, so that a large folder idles too. */
const scanShare = 1 / 50;

/** Which pass runs when: one at the start, one for each request, one every `rescanMs`. */
export interface Passes {
  readonly current: () => Pass | undefined;
  /** The snapshot that is under way, from before its listing to its sweep: every checkpoint carries it. */
  readonly snapshot: () => Snapshot | undefined;
  /** Begins the next one when it is due and none runs. */
  readonly advance: () => void;
  /** Ends the current one, stored with all its events. */
  readonly finish: () => void;
  /** Milliseconds until the next one; Infinity while one runs. */
  readonly dueInMs: () => number;
}

export function passes(
  context: Pick<
    SourceContext<unknown, Checkpoint>,
    "requests" | "refuse" | "checkpoint" | "nextVersion"
  >,
  looking: Looking,
  run: {
    readonly settleMs: number;
    readonly rescanMs: number;
    readonly wake: () => void;
    readonly fail: (error: unknown) => void;
  },
): Passes {
  const { checkpoint, nextVersion, refuse } = context;
  const { settleMs, rescanMs, wake, fail } = run;
  const requests = context.requests[Symbol.asyncIterator]();
  let request: SnapshotRequest | undefined;
  let state: "due" | "scanning" | Pass = "due";
  let dueAt = 0;
  let isFirst = true;
  let snapshot: Snapshot | undefined;

  // One at a time: the others wait where they are kept.
  const awaitRequest = async () => {
    let next = await requests.next();
    for (; !next.done && next.value.collections; next = await requests.next())
      await refuse(next.value.id, noCollections(next.value.collections));
    if (!next.done) request = next.value;
    wake();
  };
  awaitRequest().catch(fail);

  const snapshotDue = (): Snapshot | undefined => {
    if (isFirst) return checkpoint ? checkpoint.snapshot : { below: nextVersion() };
    if (request === undefined) return undefined;
    const { id, audience } = request;
    return { below: nextVersion(), request: id, ...(audience !== undefined && { audience }) };
  };
  const begin = async () => {
    state = "scanning";
    snapshot = snapshotDue();
    const identity = (isFirst && checkpoint?.root) || looking.folder.identity;
    state = await beginPass(looking, { isFirst, snapshot, identity, settleMs });
    wake();
  };

  return {
    current: () => (typeof state === "object" ? state : undefined),
    snapshot: () => snapshot,
    advance: () => {
      const isDue = request !== undefined || performance.now() >= dueAt;
      if (state === "due" && isDue) begin().catch(fail);
    },
    finish: () => {
      if (typeof state !== "object") return;
      dueAt = performance.now() + Math.max(rescanMs, state.tookMs / scanShare);
      // After a crash it is asked for again while the pass that was begun for it goes on.
      if (request !== undefined && request.id === state.snapshot?.request) {
        request = undefined;
        awaitRequest().catch(fail);
      }
      isFirst = false;
      snapshot = undefined;
      state = "due";
    },
    dueInMs: () => (state === "due" ? Math.max(0, dueAt - performance.now()) : Infinity),
  };
}

function noCollections(names: readonly string[]): SluiceError {
  return new SluiceError(`file: a folder has no collections, such as ${names.join(", ")}.`, {
    code: "file.no-collections",
    fix: "Ask for a snapshot of all of it.",
  });
}
