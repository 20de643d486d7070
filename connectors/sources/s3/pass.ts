import type { Version } from "sluice";
import type { Desk } from "./desk.ts";
import type { Finding } from "./suspects.ts";

/** A pass that emits every object that was not emitted since it began, and ends with a sweep. */
export interface Snapshot {
  readonly below: Version;
  /** Also objects that are known: all but the very first snapshot. */
  readonly isForced: boolean;
  readonly id?: string | undefined;
  readonly audience?: string | undefined;
}

/** One way through the bucket: the keys that may differ from what is known, each owed an answer. */
export interface Pass {
  readonly isFirst: boolean;
  readonly snapshot: Snapshot | undefined;
  /** All keys up to this one are listed and answered: where to go on after a restart. */
  readonly after: () => string;
  readonly answer: (key: string) => void;
  readonly answered: () => number;
  /** True once all is listed and every key is answered. */
  readonly isOver: () => boolean;
  /** A known object cannot be read: what the sinks have of it must survive, so there is no sweep. */
  readonly spare: () => void;
  readonly isPartial: () => boolean;
  /** Milliseconds of listing, without what the desk made it wait. */
  readonly tookMs: () => number;
  /** A page came. */
  readonly isAnswered: () => boolean;
  /** Milliseconds since the last page came, while the next is waited for. */
  readonly silentMs: () => number;
}

/** Begins to list, as fast as the desk takes it up. */
export function beginPass(
  find: (spare: () => void) => AsyncIterable<Finding>,
  run: {
    readonly isFirst: boolean;
    readonly snapshot: Snapshot | undefined;
    readonly isPartial: boolean;
    readonly after: string;
    readonly desk: Desk;
    readonly wake: () => void;
    readonly fail: (error: unknown) => void;
  },
): Pass {
  const { isFirst, snapshot, desk } = run;
  /** In byte order, each with the position before it. */
  const owed = new Map<string, string>();
  let position = run.after;
  let isPartial = run.isPartial;
  let isListed = false;
  let answered = 0;
  let tookMs = 0;
  const spare = () => void (isPartial = true);

  let heardAt = performance.now();
  let isAnswered = false;
  let isAsking = true;

  const list = async () => {
    let began = heardAt;
    for await (const finding of find(spare)) {
      heardAt = performance.now();
      isAnswered = true;
      if (finding.look) {
        tookMs += heardAt - began;
        isAsking = false;
        await desk.room();
        isAsking = true;
        began = heardAt = performance.now();
        owed.set(finding.look.key, position);
        desk.add(finding.look, false);
      }
      position = finding.position;
    }
    isAsking = false;
    isAnswered = true;
    tookMs += performance.now() - began;
    isListed = true;
    run.wake();
  };
  list().catch(run.fail);

  return {
    isFirst,
    snapshot,
    after: () => owed.values().next().value ?? position,
    answer: (key) => {
      if (owed.delete(key)) answered += 1;
    },
    answered: () => answered,
    isOver: () => isListed && owed.size === 0,
    spare,
    isPartial: () => isPartial,
    tookMs: () => tookMs,
    isAnswered: () => isAnswered,
    silentMs: () => (isAsking ? performance.now() - heardAt : 0),
  };
}
