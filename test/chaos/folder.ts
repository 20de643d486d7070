import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Random } from "./random.ts";

/** A folder under random change, and what it holds: path → text. */
export interface ChangingFolder {
  readonly files: ReadonlyMap<string, string>;
  /** One random create, edit, rename or delete. */
  readonly change: () => Promise<void>;
}

const words =
  "river stone lantern harbour copper meadow signal winter thread orchard engine ladder paper summit anchor velvet mirror garden bridge cellar".split(
    " ",
  );

/** `maxFiles` bounds how many exist at once. */
export function changingFolder(dir: string, random: Random, maxFiles: number): ChangingFolder {
  const files = new Map<string, string>();
  const folders = ["", "a/", "b/", "a/deep/er/", "with space/", "ünïcode/"];
  let made = 0;

  const put = async (path: string, text: string) => {
    await mkdir(dirname(join(dir, path)), { recursive: true });
    await writeFile(join(dir, path), text);
    files.set(path, text);
  };
  const create = () => put(`${random.pick(folders)}note-${made++}.md`, document(random));
  const edit = async () => {
    const path = random.pick([...files.keys()]);
    const paragraphs = (files.get(path) ?? "").split("\n\n");
    const at = random.below(paragraphs.length);
    if (random.next() < 0.2) paragraphs.splice(at, 1);
    else paragraphs[at] = sentence(random);
    await put(path, paragraphs.join("\n\n"));
  };
  const move = async () => {
    const path = random.pick([...files.keys()]);
    const target = `${random.pick(folders)}moved-${made++}.md`;
    await mkdir(dirname(join(dir, target)), { recursive: true });
    await rename(join(dir, path), join(dir, target));
    files.set(target, files.get(path) ?? "");
    files.delete(path);
  };
  const remove = async () => {
    const path = random.pick([...files.keys()]);
    await rm(join(dir, path));
    files.delete(path);
  };
  /** Overwrites in quick succession: the last content must win. */
  const hammer = async () => {
    const path = random.pick([...files.keys()]);
    for (let write = 0; write < 3; write++) await put(path, document(random));
  };

  return {
    files,
    change: async () => {
      const dice = random.next();
      if (files.size < 10 || (dice < 0.35 && files.size < maxFiles)) await create();
      else if (dice < 0.65) await edit();
      else if (dice < 0.75) await move();
      else if (dice < 0.85) await hammer();
      else await remove();
    },
  };
}

function document(random: Random): string {
  const sections = 1 + random.below(3);
  const parts: string[] = [];
  for (let section = 0; section < sections; section++) {
    parts.push(`# ${random.pick(words)} ${random.pick(words)}`);
    for (let paragraph = random.below(4); paragraph >= 0; paragraph--) parts.push(sentence(random));
  }
  return parts.join("\n\n");
}

function sentence(random: Random): string {
  const length = 8 + random.below(40);
  return `${Array.from({ length }, () => random.pick(words)).join(" ")}.`;
}
