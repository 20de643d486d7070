import type { StateStore, StateWrite } from "sluice";
import type { Options } from "./config.ts";
import type { Database } from "./database.ts";
import { findStart, type Position } from "./position.ts";
import {
  forgetRuns,
  markPassedOver,
  needKey,
  recallCopied,
  recallNeeded,
  recallRun,
  type Unfinished,
} from "./snapshot/runs.ts";
import { shown } from "./setup/identifier.ts";

/** What the source knows when it starts. */
export interface Memory {
  readonly position: Position;
  /** A new slot: everything remembered of an earlier one is void, and `writes` forget it. */
  readonly isNew: boolean;
  readonly writes: readonly StateWrite[];
  /** Tables whose first snapshot is complete. */
  readonly copied: Set<string>;
  /** Tables that must be read again. */
  readonly needed: ReadonlySet<string>;
  readonly unfinished: Unfinished | undefined;
}

/** Recalls what is stored, decides where to begin, and makes the slot where there is none. */
export async function recall(
  config: Options,
  database: Database,
  run: Omit<
    Parameters<typeof findStart>[0],
    "config" | "database" | "isUnfinished" | "lastEpoch" | "ownSlot" | "claim"
  > & {
    readonly state: StateStore;
    /** `snapshot: "only"` was through, and somebody asked for another. */
    readonly isAsked: boolean;
  },
): Promise<Memory> {
  const { state } = run;
  const isNever = config.snapshot === "never";
  const [unfinished, copied, stillNeeded, [epoch, slot]] = await Promise.all([
    recallRun(state),
    recallCopied(state, isNever),
    recallNeeded(state),
    state.get(["epoch", "slot"]),
  ]);
  const { position, isNew } = await findStart({
    ...run,
    config,
    database,
    isUnfinished: !isNever && copied.size === 0,
    lastEpoch: typeof epoch?.value === "number" ? epoch.value : 0,
    ownSlot: typeof slot?.value === "string" ? slot.value : undefined,
    claim: async (name) => void (await state.each([{ key: "slot", value: name }])),
  });
  if (isNew) {
    const epochWrite = { key: "epoch", value: position.epoch };
    // Everything was copied, for good: only who asks for it gets it again.
    if (run.isAsked)
      return {
        position,
        isNew,
        writes: [epochWrite],
        copied,
        needed: stillNeeded,
        unfinished: undefined,
      };
    const names = isNever ? database.tables.map(shown) : [];
    // The first start passes over what is there; after a lost position it has to be read all the same.
    const needed = epoch === undefined ? [] : names;
    const marks = [
      ...names.map(markPassedOver),
      ...needed.map((name) => ({ key: needKey(name), value: true })),
    ];
    const isMarked = ({ key }: StateWrite) => marks.some((mark) => mark.key === key);
    const forgotten = (await forgetRuns(state)).filter((write) => !isMarked(write));
    return {
      position,
      isNew,
      writes: [...forgotten, epochWrite, ...marks],
      copied: new Set(names),
      needed: new Set(needed),
      unfinished: undefined,
    };
  }
  const isOurs = unfinished?.run.epoch === position.epoch;
  // The others are read for the first time, whatever happened to them.
  const isKnown = (name: string) =>
    copied.has(name) || (isOurs && unfinished.run.tables.includes(name));
  return {
    position,
    isNew,
    writes: [],
    copied,
    needed: new Set([...stillNeeded].filter(isKnown)),
    unfinished: isOurs ? unfinished : undefined,
  };
}
