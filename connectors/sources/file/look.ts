import type { Version } from "sluice";
import type { Folder } from "./folder.ts";
import { judge, type Outcome } from "./judge.ts";
import type { Memory } from "./memory.ts";
import type { Pass } from "./pass.ts";
import type { Problems } from "./problems.ts";
import { readFile, sameStamp } from "./read-file.ts";
import { scan } from "./scan.ts";

/** What looking at files needs, the same for all of them. */
export interface Looking {
  readonly source: string;
  readonly folder: Folder;
  readonly memory: Memory;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  readonly nextVersion: () => Version;
  readonly problems: Problems;
  /** Have another look at a path when it has been quiet. */
  readonly touch: (path: string) => void;
}

/** Reads files side by side and says what came of it, in the order of `paths`. */
export async function look(
  paths: readonly string[],
  pass: Pass | undefined,
  looking: Looking,
): Promise<readonly Outcome[]> {
  const { folder, memory, touch } = looking;
  const readings = await Promise.all(
    paths.map(async (path) => ({ path, reading: await readFile(folder, path, looking) })),
  );
  const isLost = readings.some(
    ({ path, reading }) => memory.get(path) && ["none", "folder"].includes(reading.kind),
  );
  if (isLost) await folder.assertPresent();

  const outcomes: Outcome[] = [];
  for (const { path, reading } of readings) {
    const outcome = judge(path, reading, pass, looking);
    if (outcome === "changing") touch(path);
    else if (outcome) outcomes.push(outcome);
  }
  for (const { path, reading } of readings)
    if (reading.kind === "folder") await lookInto(path, looking);
  return outcomes;
}

/** Files may have come into a new folder before it was watched. */
async function lookInto(path: string, looking: Looking) {
  const { folder, memory, touch } = looking;
  for await (const page of scan(folder, { ...looking, from: path }))
    for (const { path: file, stamp } of page) {
      const known = memory.get(file);
      if (!known || !sameStamp(known, stamp)) touch(file);
    }
}
