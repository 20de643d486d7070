import { SluiceError } from "../../core/errors.ts";

export const initKinds = ["source", "transform", "sink", "pipeline"] as const;
export type InitKind = (typeof initKinds)[number];

/** What something new is called, wherever it has a name. */
export interface Names {
  /** In configs, messages and file names: `hacker-news`. */
  readonly name: string;
  /** As an npm package, and its folder: `sluice-source-hacker-news`. */
  readonly packageName: string;
  /** Stands for `name` in templates: `my-source`. */
  readonly placeholder: string;
}

const longest = 40;

/** Throws `cli.init-name` for what cannot be a connector's name. The prefix that its package will have is taken off. */
export function namesOf(kind: InitKind, given: string): Names {
  const prefix = kind === "pipeline" ? "" : `sluice-${kind}-`;
  const name = given.startsWith(prefix) ? given.slice(prefix.length) : given;
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name) || name.length > longest) {
    const words = name.replaceAll(/([a-z0-9])(?=[A-Z])/g, "$1-").toLowerCase();
    const close =
      words
        .match(/[a-z0-9]+/g)
        ?.join("-")
        .replace(/^[0-9-]+/, "") ?? "";
    throw new SluiceError(`init: ${JSON.stringify(given)} cannot name a ${kind}.`, {
      code: "cli.init-name",
      fix:
        close && close !== name && close.length <= longest
          ? `Write ${close}.`
          : `Write up to ${longest} lower-case letters, digits and dashes, a letter first.`,
    });
  }
  return { name, packageName: prefix + name, placeholder: `my-${kind}` };
}

/** Puts the names into the texts and paths of templates: `path → text`. */
export function filled(
  templates: ReadonlyMap<string, string>,
  { name, placeholder }: Names,
): ReadonlyMap<string, string> {
  const variable = identifier(placeholder);
  const code = [...templates].filter(([path]) => path.endsWith(".ts")).map(([, text]) => text);
  const own = variableFor(name, placeholder, code.join("\n"));
  const fill = (text: string) => text.replaceAll(placeholder, name).replaceAll(variable, own);
  return new Map([...templates].map(([path, text]) => [fill(path), fill(text)]));
}

/** A name for the export: with its kind where the word alone is taken, by the language or by the templates. */
function variableFor(name: string, placeholder: string, texts: string): string {
  const plain = identifier(name);
  const code = texts
    .replaceAll(/\/\*[^]*?\*\/|\/\/.*|"[^"\n]*"/g, "")
    .replaceAll(/`[^`]*`/g, (text) => text.match(/\$\{[^}]*/g)?.join(" ") ?? "");
  const isTaken = reserved.has(plain) || new RegExp(`\\b${plain}\\b`).test(code);
  return isTaken ? identifier(placeholder.replace("my", name)) : plain;
}

function identifier(words: string): string {
  return words.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

const reserved = new Set(
  (
    "arguments await break case catch class const continue debugger default delete do else enum eval export extends " +
    "false finally for function if implements import in instanceof interface let new null package private protected " +
    "public return static super switch this throw true try typeof undefined var void while with yield"
  ).split(" "),
);
