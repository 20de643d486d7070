import { lstat, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { ConfigError, RetryableError } from "sluice";
import { select, selectOnly, type Select } from "./select.ts";

/** The folder that is read; for a single file the one it lies in. */
export interface Folder {
  /** Absolute, all links resolved. */
  readonly root: string;
  /** Device and inode of the root: another disk, or a folder made anew, has another. */
  readonly identity: string;
  /** `path` names one file. */
  readonly single: boolean;
  readonly select: Select;
  readonly followSymlinks: boolean;
  readonly absolute: (path: string) => string;
  /**
   * Throws `RetryableError` unless the same folder is still there. Asked before a delete is believed:
   * a disk that was unmounted has not lost its files.
   */
  readonly assertPresent: () => Promise<void>;
}

/** What the folder was when it was read before. */
export interface Before {
  readonly single: boolean;
}

/**
 * Opens `path`. Never seen before and absent, it is a mistake in the config; seen before (`before`)
 * and absent, it is out of reach and comes back.
 */
export async function openFolder(
  options: {
    readonly path: string;
    readonly include: readonly string[];
    readonly exclude: readonly string[];
    readonly followSymlinks: boolean;
  },
  before: Before | undefined,
): Promise<Folder> {
  const { path, followSymlinks } = options;
  const single = await isSingle(options, before);
  const place = single ? dirname(path) : path;
  const { root, identity } = await identify(place).catch((cause: unknown) => {
    throw outOfReach(path, cause);
  });

  return {
    root,
    identity,
    single,
    select: single ? selectOnly(basename(path)) : select(options),
    followSymlinks,
    absolute: (relative) => join(root, relative),
    assertPresent: async () => {
      const now = await identify(place).catch((cause: unknown) => {
        throw outOfReach(path, cause);
      });
      if (now.root !== root || now.identity !== identity) throw outOfReach(path);
    },
  };
}

async function isSingle(
  { path, followSymlinks }: { readonly path: string; readonly followSymlinks: boolean },
  before: Before | undefined,
): Promise<boolean> {
  const stats = await stat(path).catch((cause: unknown) => {
    // A single file that is gone was deleted, as long as its folder is there.
    if (before?.single) return undefined;
    if (before || !isAbsent(cause)) throw outOfReach(path, cause);
    throw new ConfigError(`file: path "${path}" does not exist.`, {
      code: "file.path-missing",
      fix: "Create it, or change `path`. A relative path starts at the config file's folder.",
      cause,
    });
  });
  if (stats === undefined) return true;
  if (stats.isDirectory()) return false;
  const isLink = (await lstat(path)).isSymbolicLink();
  if (stats.isFile() && (followSymlinks || !isLink)) return true;
  const what = stats.isFile() ? "is a symbolic link" : "is neither a folder nor a regular file";
  throw new ConfigError(`file: path "${path}" ${what}.`, {
    code: "file.path-special",
    fix: "Name a folder or a regular file; for a link set `followSymlinks`, or name its target.",
  });
}

async function identify(path: string): Promise<{ root: string; identity: string }> {
  const root = await realpath(path);
  const { dev, ino } = await stat(root, { bigint: true });
  return { root, identity: `${dev}:${ino}` };
}

/** Out of reach, not gone: what is known of the files stays as it is until the folder is back. */
export function outOfReach(path: string, cause?: unknown): RetryableError {
  if (cause !== undefined && !isAbsent(cause))
    return new RetryableError(`file: path "${path}" cannot be opened (${codeOf(cause)}).`, {
      code: "file.refused",
      reason: "refused",
      fix: "Give this user the right to read it.",
      cause,
    });
  return new RetryableError(`file: path "${path}" is not there now; what was in it is kept.`, {
    code: "file.unreachable",
    reason: "unreachable",
    fix: "Mount or restore it. If it is gone for good, remove the connector.",
    cause,
  });
}

/** Error codes that say: there is no such file here. Any other one leaves that open. */
export function isAbsent(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "ELOOP", "ENXIO", "EISDIR"].includes(codeOf(error));
}

export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** True for the root's own files and folders, as real paths. */
export function isInside(root: string, real: string): boolean {
  return real === root || real.startsWith(root.endsWith(sep) ? root : root + sep);
}
