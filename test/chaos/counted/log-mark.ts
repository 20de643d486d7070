import { closeSync, openSync, readSync, statSync } from "node:fs";
import Libsql from "libsql";
import type { CountedOrder, LogMark } from "./messages.ts";

/** https://www.sqlite.org/walformat.html: the header of the WAL-index, and what follows both copies of it. */
const mxFrameAt = 16;
const saltAt = 32;
const nBackfillAttemptedAt = 128;
const indexBytes = 136;

const full = 2;

/**
 * Answers how much of the log is certainly on disk. Of an append-only file: all of it, for whoever asks behind an
 * acknowledgement. Of a write-ahead log: up to this process's last commit that waited for the disk and wrote anything.
 */
export function watchLog({ kind, path }: NonNullable<CountedOrder["log"]>): () => LogMark {
  if (kind === "aof") return () => ({ generation: path, upTo: statSync(path).size });
  let mark: LogMark = { generation: "", upTo: 0 };
  let last = mark;
  const { prototype } = Libsql;
  const exec = Reflect.get(prototype, "exec");
  prototype.exec = function (this: Libsql.Database, sql: string) {
    const result = exec.call(this, sql);
    if (sql !== "COMMIT") return result;
    const { generation, frames } = walIndexOf(path);
    const [[synchronous]] = this.prepare("PRAGMA synchronous").raw().all() as [[number]];
    const hasWritten = generation !== last.generation || frames > last.upTo;
    last = { generation, upTo: frames };
    if (synchronous === full && hasWritten) mark = last;
    return result;
  };
  return () => mark;
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
