import type { Version } from "sluice";
import { outOfReach } from "./folder.ts";
import type { Looking } from "./look.ts";
import type { Known } from "./memory.ts";
import { sameStamp } from "./read-file.ts";
import { scan } from "./scan.ts";

/** A pass that emits every file, changed or not, and ends with a sweep. */
export interface Snapshot {
  /** Files whose last event is not below it are done. */
  readonly below: Version;
  readonly audience?: string | undefined;
  /** Id of the request that it answers; the first one answers none. */
  readonly request?: string | undefined;
}

/**
 * One way through the folder: the paths that may differ from what is known, each owed an answer.
 * A path that is in doubt stays owed, so that a sweep never comes before it.
 */
export interface Pass {
  readonly isFirst: boolean;
  readonly snapshot: Snapshot | undefined;
  readonly total: number;
  readonly tookMs: number;
  readonly owed: () => number;
  /** Up to `limit` paths that are still owed and that `skip` does not keep for later. */
  readonly next: (limit: number, skip: (path: string) => boolean) => readonly string[];
  readonly answer: (path: string) => void;
  /** The file cannot be read: what the sinks have of it must survive the sweep. */
  readonly spare: (known: Known) => void;
  /** Where the sweep may remove below. */
  readonly sweepBelow: () => Version | undefined;
  /** True when the snapshot still wants an event of this file. */
  readonly wants: (path: string, known: Known | undefined) => boolean;
}

/** Lists the folder and compares it with what is known, by stamps alone. */
export async function beginPass(
  looking: Pick<Looking, "folder" | "memory" | "signal" | "problems" | "touch">,
  run: {
    readonly isFirst: boolean;
    readonly snapshot: Snapshot | undefined;
    /** The folder that the memory is of. */
    readonly identity: string;
    readonly settleMs: number;
  },
): Promise<Pass> {
  const { folder, memory, touch } = looking;
  const start = performance.now();
  const { isFirst, snapshot } = run;
  const owed = new Set<string>();
  const seen = new Set<string>();
  const wants = (known: Known | undefined) =>
    snapshot !== undefined && !(known !== undefined && known.version >= snapshot.below);

  for await (const page of scan(folder, looking))
    for (const { path, stamp } of page) {
      seen.add(path);
      const known = memory.get(path);
      if (wants(known) || !known || !sameStamp(known, stamp)) owed.add(path);
      const ageMs = Date.now() - stamp.ctimeMs;
      // Written to just now: perhaps not for the last time.
      if (owed.has(path) && ageMs >= 0 && ageMs < run.settleMs) touch(path);
    }
  // An empty folder in another place than before is the mount point of a disk that is not there.
  if (seen.size === 0 && memory.size() > 0 && run.identity !== folder.identity)
    throw outOfReach(folder.root);
  for (const path of memory.paths()) if (!seen.has(path)) owed.add(path);

  const total = owed.size;
  let queue = [...owed];
  let below = snapshot?.below;
  return {
    isFirst,
    snapshot,
    total,
    tookMs: performance.now() - start,
    owed: () => owed.size,
    next: (limit, skip) => {
      const paths: string[] = [];
      while (paths.length < limit) {
        const path = queue.pop();
        if (path === undefined) break;
        // One that is skipped is being settled: its answer comes from there.
        if (owed.has(path) && !skip(path)) paths.push(path);
      }
      return paths;
    },
    answer: (path) => {
      owed.delete(path);
      if (owed.size === 0) queue = [];
    },
    spare: ({ version }) => {
      if (below !== undefined && version < below) below = version;
    },
    sweepBelow: () => below,
    wants: (path, known) => owed.has(path) && wants(known),
  };
}
