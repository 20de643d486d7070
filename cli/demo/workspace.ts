import { randomUUID } from "node:crypto";
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

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

/** Lays the workspace out; what an earlier run learnt stays, what it left half-done in the notes goes. */
export async function openWorkspace(dir: string): Promise<Workspace> {
  await mkdir(dir, { recursive: true });
  await rm(join(dir, "notes"), { recursive: true, force: true });
  for (const name of ["notes", "sluice.json"])
    await cp(join(example, name), join(dir, name), { recursive: true, preserveTimestamps: true });
  const idFile = join(dir, "id");
  const id = await readFile(idFile, "utf8").catch(() => undefined);
  const project = id ?? `notes-${randomUUID().slice(0, 8)}`;
  if (id === undefined) await writeFile(idFile, project);
  return { dir, config: join(dir, "sluice.json"), notes: join(dir, "notes"), project };
}
