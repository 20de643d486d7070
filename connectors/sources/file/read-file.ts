import { constants, type Stats } from "node:fs";
import { lstat, open, realpath, type FileHandle } from "node:fs/promises";
import { isAbsent, isInside, type Folder } from "./folder.ts";

/** What tells two states of a file apart without reading it. */
export interface Stamp {
  readonly size: number;
  readonly mtimeMs: number;
  /** Moves with every write, whatever is done to the mtime. */
  readonly ctimeMs: number;
  readonly ino: number;
}

export type Reading =
  | { readonly kind: "content"; readonly bytes: Buffer; readonly stamp: Stamp }
  /** Nothing wanted: absent, excluded, a special file, a link that may not be followed. */
  | { readonly kind: "none" }
  | { readonly kind: "folder" }
  | { readonly kind: "too-large"; readonly bytes: number }
  /** Written to while we read. */
  | { readonly kind: "changing" }
  /** There, or not: it could not be told. */
  | { readonly kind: "unreadable"; readonly cause: unknown };

/** Reads a file whole, up to `maxBytes`, and only if it stood still meanwhile. Never blocks on a pipe. */
export async function readFile(
  folder: Folder,
  path: string,
  { maxBytes }: { readonly maxBytes: number },
): Promise<Reading> {
  try {
    const absolute = folder.absolute(path);
    const real = await realpath(absolute);
    // A folder on the way may have become a link out of the root since it was listed.
    const allowed = folder.followSymlinks ? isInside(folder.root, real) : real === absolute;
    if (!allowed) return { kind: "none" };
    const seen = await lstat(real);
    if (seen.isDirectory()) return { kind: folder.select.folder(path) ? "folder" : "none" };
    if (!seen.isFile() || !folder.select.file(path)) return { kind: "none" };
    if (seen.size > maxBytes) return { kind: "too-large", bytes: seen.size };
    // What is at the path may be exchanged after the lstat: neither follow a link nor wait for a pipe.
    const file = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    try {
      return await readStill(file, real, maxBytes);
    } finally {
      await file.close();
    }
  } catch (cause) {
    return isAbsent(cause) ? { kind: "none" } : { kind: "unreadable", cause };
  }
}

async function readStill(file: FileHandle, real: string, maxBytes: number): Promise<Reading> {
  const before = await file.stat();
  if (!before.isFile()) return { kind: "none" };
  if (before.size > maxBytes) return { kind: "too-large", bytes: before.size };
  const bytes = await readBytes(file, before.size);
  const [after, named] = await Promise.all([file.stat(), lstat(real).catch(() => undefined)]);
  const stood =
    named !== undefined &&
    bytes.length === before.size &&
    sameStamp(before, after) &&
    sameStamp(after, named);
  return stood ? { kind: "content", bytes, stamp: stampOf(after) } : { kind: "changing" };
}

/** One byte more than expected is asked for, to notice a file that grows. */
async function readBytes(file: FileHandle, size: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(size + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
    length += bytesRead;
    if (bytesRead === 0 || length === size) break;
  }
  return buffer.subarray(0, length);
}

export function stampOf({ size, mtimeMs, ctimeMs, ino }: Stats): Stamp {
  return { size, mtimeMs, ctimeMs, ino };
}

export function sameStamp(a: Stamp, b: Stamp): boolean {
  return a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.ino === b.ino;
}
