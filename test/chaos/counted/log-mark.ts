import { closeSync, openSync, readSync, statSync } from "node:fs";
import type { CountedOrder, LogMark } from "./messages.ts";

/** https://www.sqlite.org/walformat.html: the header of the WAL-index, and what follows both copies of it. */
const mxFrameAt = 16;
const saltAt = 32;
const nBackfillAttemptedAt = 128;
const indexBytes = 136;

/** How much of the log there is now. */
export function markOf({ kind, path }: NonNullable<CountedOrder["log"]>): LogMark {
  if (kind === "aof") return { generation: path, upTo: statSync(path).size };
  const { generation, frames } = walIndexOf(path);
  return { generation, upTo: frames };
}

/** Of the write-ahead log at `path`, as its processes share it. */
export function walIndexOf(path: string): {
  readonly generation: string;
  readonly frames: number;
  /** Frames that were, or are just being, copied into the database: the log was on disk up to there before. */
  readonly copied: number;
} {
  const bytes = Buffer.alloc(indexBytes);
  const file = openSync(path.replace(/-wal$/, "-shm"), "r");
  try {
    readSync(file, bytes, 0, indexBytes, 0);
  } finally {
    closeSync(file);
  }
  return {
    generation: bytes.toString("hex", saltAt, saltAt + 8),
    frames: bytes.readUInt32LE(mxFrameAt),
    copied: bytes.readUInt32LE(nBackfillAttemptedAt),
  };
}
