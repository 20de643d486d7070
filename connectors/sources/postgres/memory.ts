import type { StateStore, StateWrite } from "sluice";
import type { Options } from "./config.ts";
import type { Database } from "./database.ts";
import { findStart, type Position } from "./position.ts";
import {
  forgetRuns,
  markCopied,
  recallNames,
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
  },
): Promise<Memory> {
  const { state } = run;
  const [unfinished, copied, needed, [epoch, slot]] = await Promise.all([
    recallRun(state),
    recallNames(state, "copied/"),
    recallNames(state, "need/"),
    state.get(["epoch", "slot"]),
  ]);
  const { position, isNew } = await findStart({
    ...run,
    config,
    database,
    isUnfinished: config.snapshot !== "never" && copied.size === 0,
    lastEpoch: typeof epoch?.value === "number" ? epoch.value : 0,
    ownSlot: typeof slot?.value === "string" ? slot.value : undefined,
    claim: async (name) => void (await state.each([{ key: "slot", value: name }])),
  });
  if (isNew) {
    const names = config.snapshot === "never" ? database.tables.map(shown) : [];
    return {
      position,
      isNew,
      writes: [
        ...(await forgetRuns(state)),
        { key: "epoch", value: position.epoch },
        ...names.map(markCopied),
      ],
      copied: new Set(names),
      needed: new Set(),
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
    needed: new Set([...needed].filter(isKnown)),
    unfinished: isOurs ? unfinished : undefined,
  };
}
