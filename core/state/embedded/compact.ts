import { setTimeout as sleep } from "node:timers/promises";
import { RetryableError } from "../../errors.ts";
import { openDatabase } from "./database.ts";

const pollMs = 100;
const maxPolls = 50;

/**
 * Rewrites the file of `dir` and empties its log: what was deleted, by whomever and whenever, is in neither
 * from then on. Others wait meanwhile, as for any long write. False when they left no room for it in time.
 */
export async function compact(dir: string): Promise<boolean> {
  const { rows, run, close } = openDatabase(dir);
  try {
    // Not in memory: it is as large as the file.
    run("PRAGMA temp_store = FILE");
    run("VACUUM");
    for (let polls = 0; polls < maxPolls; polls++) {
      const [[isBusy] = [1]] = rows<[number]>("PRAGMA wal_checkpoint(TRUNCATE)");
      if (isBusy === 0) return true;
      await sleep(pollMs);
    }
    return false;
  } catch (error) {
    if (error instanceof RetryableError) return false;
    throw error;
  } finally {
    close();
  }
}
