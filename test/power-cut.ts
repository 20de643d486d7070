import {
  closeSync,
  cpSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { walIndexOf } from "./chaos/counted/log-mark.ts";
import type { LogMark } from "./chaos/counted/messages.ts";

// What a power cut leaves. `kill -9` leaves more: what was written and not synced is still in the page cache.

const frameBytes = 24 + 8_192; // a frame's header and a page of ours
const walHeaderBytes = 32;

/**
 * Copies an embedded place whose processes stand still, with its write-ahead log as far as it was certainly synced:
 * up to `mark`, taken behind a commit that is on disk, and what a checkpoint has copied, since it syncs the log first.
 */
export function cutEmbedded(from: string, to: string, mark: LogMark): void {
  mkdirSync(to, { recursive: true });
  const wal = join(from, "sluice.db-wal");
  const { generation, copied } = walIndexOf(wal);
  for (const name of ["sluice.db", "sluice.db-wal"]) cpSync(join(from, name), join(to, name));
  // Begun anew since: all of the new log may be lost, but SQLite syncs before it begins one.
  const frames = Math.max(copied, generation === mark.generation ? mark.upTo : 0);
  truncate(join(to, "sluice.db-wal"), walHeaderBytes + frames * frameBytes);
}

/** The file that Redis appends to, below its directory. */
export function aofOf(dir: string): string {
  const folder = join(dir, "appendonlydir");
  const name = readdirSync(folder).find((one) => one.endsWith(".incr.aof"));
  if (name === undefined) throw new Error(`no append-only file in ${folder}`);
  return join(folder, name);
}

/** Copies Redis' append-only files, of which the one that it writes had `bytes` on disk. */
export function cutRedis(from: string, to: string, bytes: number): void {
  mkdirSync(to, { recursive: true });
  cpSync(join(from, "appendonlydir"), join(to, "appendonlydir"), { recursive: true });
  truncate(aofOf(to), bytes);
}

/** Sizes of a file over time: what was certainly on disk, where it is synced every second. */
export function watchSize(file: string): {
  readonly ago: (ms: number) => number;
  readonly stop: () => void;
} {
  const sizes: { readonly at: number; readonly bytes: number }[] = [];
  const look = () => {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found) sizes.push({ at: performance.now(), bytes: found.size });
  };
  look();
  const timer = setInterval(look, 10);
  return {
    ago: (ms) => sizes.findLast(({ at }) => at <= performance.now() - ms)?.bytes ?? 0,
    stop: () => clearInterval(timer),
  };
}

function truncate(file: string, bytes: number): void {
  if (statSync(file).size <= bytes) return;
  const handle = openSync(file, "r+");
  ftruncateSync(handle, bytes);
  closeSync(handle);
}
