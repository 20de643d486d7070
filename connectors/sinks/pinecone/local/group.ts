import type { Database } from "./database.ts";

/** Writes that are asked for at the same time, in one transaction: the disk is waited for once, not for each. */
export interface Group {
  /** Resolves when the work is on disk. A throw undoes it alone; a failed commit undoes, and rejects, all of the group. */
  readonly write: <T>(work: () => T) => Promise<T>;
}

interface Waiting {
  /** Does the work and says how it ends, once that is settled. */
  readonly run: (group: number) => () => void;
  readonly fail: (error: unknown) => void;
}

export function openGroup(database: Database): Group {
  let waiting: Waiting[] = [];

  const flush = (): void => {
    const group = waiting;
    waiting = [];
    let ends: (() => void)[];
    try {
      ends = database.transaction("write", () => group.map(({ run }) => run(group.length)));
    } catch (error) {
      for (const { fail } of group) fail(error);
      return;
    }
    for (const end of ends) end();
  };

  return {
    write: (work) =>
      new Promise((resolve, reject) => {
        const run = (group: number): (() => void) => {
          try {
            // Alone it needs no part: what undoes the transaction undoes it.
            const result = group === 1 ? work() : database.part(work);
            return () => resolve(result);
          } catch (error) {
            // SQLite may have undone the transaction, when the disk is full for one.
            if (group === 1 || !database.inTransaction()) throw error;
            return () => reject(error);
          }
        };
        waiting.push({ run, fail: reject });
        // Behind all that has arrived already.
        if (waiting.length === 1) setImmediate(flush);
      }),
  };
}
