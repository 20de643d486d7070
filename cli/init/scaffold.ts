import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SluiceError } from "../../core/errors.ts";
import { makeFolder } from "../../core/make-folder.ts";
import { manifestFor } from "./manifest.ts";
import { filled, type InitKind, type Names } from "./names.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const templates = join(root, "cli/init/templates");
const ignored = ["node_modules/", "dist/", ".sluice/", "out/", "sluice.schema.json", "*.tgz"];

/**
 * Writes a package into a new or empty folder; one with nothing but `.git` is empty. Returns the files, sorted. Throws
 * `cli.init-folder` before anything is written where the folder holds something.
 */
export function scaffold(kind: InitKind, names: Names, dir: string): readonly string[] {
  const [first] = existsSync(dir) ? readdirSync(dir).filter((name) => name !== ".git") : [];
  if (first !== undefined)
    throw new SluiceError(`init: ${dir} holds ${JSON.stringify(first)}.`, {
      code: "cli.init-folder",
      fix: "Name a folder that is empty or does not exist yet: --dir DIR.",
    });
  makeFolder(dir);
  const texts = new Map<string, string>();
  for (const template of kind === "pipeline" ? [kind] : ["connector", kind])
    for (const path of filesOf(join(templates, template)))
      texts.set(path, readFileSync(join(templates, template, path), "utf8"));
  const files = new Map(filled(texts, names));
  // Real paths: through a link, a path from one to the other would lead elsewhere.
  const manifest = manifestFor(kind, names, { root: realpathSync(root), dir: realpathSync(dir) });
  files.set("package.json", `${JSON.stringify(manifest, undefined, 2)}\n`);
  // No template: npm does not pack a file of that name.
  files.set(".gitignore", `${ignored.join("\n")}\n`);
  for (const [path, text] of files) {
    makeFolder(dirname(join(dir, path)));
    writeFileSync(join(dir, path), text, { flag: "wx" });
  }
  return [...files.keys()].toSorted();
}

function filesOf(dir: string): readonly string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1));
}
