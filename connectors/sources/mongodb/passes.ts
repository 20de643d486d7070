import type { SnapshotRequest } from "sluice";
import type { Pass, StoredRange } from "./checkpoint.ts";
import { hexOf, timeIn } from "./position.ts";

/** A pass that has begun. */
export interface Running extends Pass {
  readonly since: string;
  readonly number: number;
}

/** The reads of whole collections, as the checkpoint keeps them. */
export interface Passes {
  readonly stored: () => Pass[];
  readonly running: () => Running | undefined;
  /** The next one, while none runs. */
  readonly waiting: () => Pass | undefined;
  /** Puts one at the end, unless one of that id is there. */
  readonly add: (pass: SnapshotRequest) => void;
  /** Everything up to `since` has been emitted. One that a restart interrupted keeps what it has. */
  readonly begin: (since: bigint, number: number) => Running;
  readonly counted: (total: number) => void;
  readonly opened: (name: string, ranges: readonly StoredRange[]) => void;
  /** A range is emitted up to a key, see `encodeKey`; undefined: all of it. */
  readonly advanced: (range: number, after: string | undefined, documents: number) => void;
  readonly closed: (name: string) => void;
  readonly finished: () => void;
}

export function passes(stored: readonly Pass[]): Passes {
  const all: Pass[] = [...stored];
  let running: Running | undefined;
  let ranges = new Map<number, StoredRange>();

  const change = (more: Partial<Pass>) => {
    if (!running) return;
    const { since, number } = running;
    running = { ...running, ...more, since, number };
    all[0] = running;
  };
  return {
    stored: () => [...all],
    running: () => running,
    waiting: () => (running ? undefined : all[0]),
    add: ({ id, collections, audience }) => {
      if (all.some((one) => one.id === id)) return;
      all.push({
        id,
        ...(collections && { collections: [...collections] }),
        ...(audience !== undefined && { audience }),
        done: 0,
        total: 0,
      });
    },
    begin: (since, number) => {
      const [pass] = all;
      if (!pass) throw new RangeError("mongodb: no pass waits.");
      running = { ...pass, since: pass.since ?? hexOf(since), number: pass.number ?? number };
      all[0] = running;
      return running;
    },
    counted: (total) => change({ total }),
    opened: (name, opened) => {
      ranges = new Map(opened.entries());
      change({ current: { name, ranges: [...opened] } });
    },
    advanced: (range, after, documents) => {
      if (!running?.current) return;
      if (after === undefined) ranges.delete(range);
      else ranges.set(range, { ...ranges.get(range), after });
      const current = { ...running.current, ranges: [...ranges.values()] };
      change({ current, done: running.done + documents });
    },
    closed: (name) => {
      if (!running) return;
      const { current: _, ...rest } = running;
      running = { ...rest, after: name };
      all[0] = running;
    },
    finished: () => {
      running = undefined;
      all.shift();
    },
  };
}

export function sinceOf({ since }: Running): bigint {
  return timeIn(since);
}
