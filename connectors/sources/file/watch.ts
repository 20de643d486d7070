import { realpathSync, type Stats } from "node:fs";
import { relative, sep } from "node:path";
import { ConfigError, type Log } from "sluice";
import { codeOf, isInside, type Folder } from "./folder.ts";
import { prefixesOf } from "./select.ts";

const pollEveryMs = 500;

/**
 * Tells which paths may have changed (files, new folders; `""` is the root itself), from the moment it
 * resolves. It may tell too much, and chokidar drops a second change within 50 ms of one it told:
 * wait longer than that before reading.
 */
export async function watch(
  folder: Folder,
  run: {
    readonly polling: boolean;
    readonly signal: AbortSignal;
    readonly log: Log;
    readonly changed: (path: string) => void;
    readonly failed: (error: ConfigError) => void;
  },
): Promise<{ readonly close: () => Promise<void> }> {
  const { FSWatcher } = await import("chokidar");
  const watcher = new FSWatcher({
    ignoreInitial: true,
    ignorePermissionErrors: true,
    // Our own settling makes a delete and a create of one path one change; theirs delays every delete.
    atomic: false,
    followSymlinks: folder.followSymlinks,
    usePolling: run.polling,
    interval: pollEveryMs,
    binaryInterval: pollEveryMs,
    ...(folder.single && { depth: 0 }),
    ignored: (path: string, stats?: Stats) => isIgnored(folder, relativeOf(folder, path), stats),
  });
  watcher.on("all", (_, path) => run.changed(relativeOf(folder, path)));

  await new Promise<void>((resolve, reject) => {
    const stop = () => resolve();
    run.signal.addEventListener("abort", stop, { once: true });
    watcher.once("ready", () => {
      run.signal.removeEventListener("abort", stop);
      resolve();
    });
    watcher.on("error", (error) => {
      const limit = watchLimit(error, folder.root);
      // Whatever it is, the next full scan sees what the watcher does not.
      if (!limit) return run.log.warn({ error: codeOf(error) }, "a folder cannot be watched");
      reject(limit);
      run.failed(limit);
    });
    watcher.add(folder.root);
  }).catch(async (error: unknown) => {
    await watcher.close();
    throw error;
  });
  return { close: () => watcher.close() };
}

/** The error for the system's limits on watching, which only a person can raise. */
export function watchLimit(error: unknown, root: string): ConfigError | undefined {
  const code = codeOf(error);
  if (code !== "ENOSPC" && code !== "EMFILE") return undefined;
  const name = code === "ENOSPC" ? "max_user_watches" : "max_user_instances";
  return new ConfigError(`file: the system allows no more watches, "${root}" needs more.`, {
    code: "file.watch-limit",
    fix: `Raise it (sysctl fs.inotify.${name}=1048576), or set "polling": true.`,
    cause: error,
  });
}

function isIgnored(folder: Folder, path: string, stats: Stats | undefined): boolean {
  if (path === "") return false;
  if (folder.followSymlinks && leadsAstray(folder, path)) return true;
  if (stats === undefined || stats.isSymbolicLink()) return !mayMatter(folder, path);
  if (stats.isDirectory()) return !folder.select.folder(path);
  return !stats.isFile() || !folder.select.file(path);
}

function mayMatter(folder: Folder, path: string): boolean {
  return folder.select.folder(path) || folder.select.file(path);
}

/** A link out of the root, or one that leads back to a folder it lies in. */
function leadsAstray(folder: Folder, path: string): boolean {
  try {
    const way = ["", ...prefixesOf(path)].map((prefix) =>
      realpathSync.native(folder.absolute(prefix)),
    );
    return new Set(way).size < way.length || !way.every((real) => isInside(folder.root, real));
  } catch {
    // Gone or dangling: there is nothing to watch.
    return true;
  }
}

function relativeOf(folder: Folder, path: string): string {
  return relative(folder.root, path).split(sep).join("/");
}
