import { randomUUID } from "node:crypto";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SluiceError } from "../../core/errors.ts";
import { makeFolder } from "../../core/make-folder.ts";
import { documentName } from "./scenario.ts";

const example = fileURLToPath(new URL("../../../examples/notes/", import.meta.url));

/** A copy of `examples/notes` that the demo may change. */
export interface Workspace {
  readonly dir: string;
  readonly config: string;
  /** The folder that is watched. */
  readonly notes: string;
  /** The same for every run in this folder, and for no other: state elsewhere never meets another index. */
  readonly project: string;
}

/**
 * Lays the workspace out in a new or empty folder, or finds an earlier one: its `id` says so. What is
 * there stays as it is, but for the document that an earlier run may have left half-way.
 */
export async function openWorkspace(dir: string): Promise<Workspace> {
  makeFolder(dir);
  const project = (await idOf(dir)) ?? (await claim(dir));
  for (const name of ["notes", "sluice.json"])
    await cp(join(example, name), join(dir, name), {
      recursive: true,
      preserveTimestamps: true,
      force: false,
    });
  const notes = join(dir, "notes");
  await rm(join(notes, documentName), { force: true });
  return { dir, config: join(dir, "sluice.json"), notes, project };
}

/** The project of a workspace; `undefined` where the folder is none. */
async function idOf(dir: string): Promise<string | undefined> {
  const id = await readFile(join(dir, "id"), "utf8").catch(() => ""); // not there, or no file of ours
  return /^notes-[0-9a-f]{8}$/.test(id) ? id : undefined;
}

/** Before anything else is written: a folder without an id is somebody's. */
async function claim(dir: string): Promise<string> {
  const [first] = await readdir(dir);
  if (first !== undefined)
    throw new SluiceError(
      `demo: ${dir} holds ${JSON.stringify(first)}, and is no folder of the demo.`,
      {
        code: "cli.demo-folder",
        fix: "Name a folder that is empty or does not exist yet: --dir DIR.",
      },
    );
  const project = `notes-${randomUUID().slice(0, 8)}`;
  await writeFile(join(dir, "id"), project, { flag: "wx" });
  return project;
}
