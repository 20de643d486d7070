import type { Dirent } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { codeOf, isAbsent, isInside, outOfReach, type Folder } from "./folder.ts";
import type { Problems } from "./problems.ts";
import { stampOf, type Stamp } from "./read-file.ts";
import { prefixesOf } from "./select.ts";

export interface Listed {
  readonly path: string;
  readonly stamp: Stamp;
}

const statsAtOnce = 32;

/**
 * Lists the wanted regular files at and below `from`, a folder at a time. A folder that cannot be
 * listed is told of and left out: that a path is missing here does not mean that its file is gone.
 * Throws `RetryableError` when the root is one.
 */
export async function* scan(
  folder: Folder,
  run: { readonly from?: string; readonly signal: AbortSignal; readonly problems: Problems },
): AsyncGenerator<readonly Listed[]> {
  const folders = [run.from ?? ""];
  for (let at = folders.pop(); at !== undefined; at = folders.pop()) {
    const entries = await entriesOf(folder, at, run.problems);
    for (let first = 0; first < entries.length; first += statsAtOnce) {
      run.signal.throwIfAborted();
      const some = entries.slice(first, first + statsAtOnce);
      const found = await Promise.all(some.map((entry) => lookAt(folder, entry)));
      yield found.filter((one) => typeof one === "object");
      folders.push(...found.filter((one) => typeof one === "string"));
    }
  }
}

interface Entry {
  readonly path: string;
  readonly kind: "file" | "folder" | "link";
}

async function entriesOf(
  folder: Folder,
  at: string,
  problems: Problems,
): Promise<readonly Entry[]> {
  let dirents: readonly Dirent<Buffer>[];
  try {
    // As bytes: a name that is not UTF-8 cannot be told from another once it is text.
    const options = { withFileTypes: true, encoding: "buffer" } as const;
    dirents = await readdir(folder.absolute(at), options);
  } catch (error) {
    if (at === "") throw outOfReach(folder.root, error);
    if (!isAbsent(error)) problems.tell("folder-unreadable", at, { code: codeOf(error) });
    return [];
  }
  return dirents.flatMap((dirent): Entry[] => {
    const name = dirent.name.toString();
    const path = at === "" ? name : `${at}/${name}`;
    if (!Buffer.from(name).equals(dirent.name)) problems.tell("name-not-utf8", path);
    else if (dirent.isFile()) return folder.select.file(path) ? [{ path, kind: "file" }] : [];
    else if (dirent.isDirectory())
      return folder.select.folder(path) ? [{ path, kind: "folder" }] : [];
    else if (dirent.isSymbolicLink() && folder.followSymlinks) return [{ path, kind: "link" }];
    return [];
  });
}

/** A wanted file, the path of a folder to go into, or nothing. */
async function lookAt(folder: Folder, { path, kind }: Entry): Promise<Listed | string | undefined> {
  if (kind === "folder") return path;
  try {
    const absolute = folder.absolute(path);
    if (kind === "file") return { path, stamp: stampOf(await lstat(absolute)) };
    if (!isInside(folder.root, await realpath(absolute))) return undefined;
    const stats = await stat(absolute);
    if (stats.isFile() && folder.select.file(path)) return { path, stamp: stampOf(stats) };
    const enter = stats.isDirectory() && folder.select.folder(path);
    return enter && !(await isLoop(folder, path)) ? path : undefined;
  } catch {
    // It went away since it was listed, or its turn comes when it is asked about by name.
    return undefined;
  }
}

/** True when the way to `path` comes through one real folder twice. */
async function isLoop(folder: Folder, path: string): Promise<boolean> {
  const way = ["", ...prefixesOf(path)].map((prefix) => realpath(folder.absolute(prefix)));
  const reals = await Promise.all(way);
  return new Set(reals).size < reals.length;
}
