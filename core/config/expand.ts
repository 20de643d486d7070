import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Path } from "./json-path.ts";

/** What `${…}` in a string could not be replaced by. */
export interface Gap {
  readonly path: Path;
  readonly code: string;
  readonly message: string;
  readonly fix: string;
}

export interface Expansion {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `${file:PATH}` is relative to. */
  readonly dir: string;
}

/**
 * Replaces `${NAME}`, `${NAME:-default}` (default when unset or empty) and `${file:PATH}` (without its
 * last line break) in every string value, keys excepted; `$$` is a dollar sign. The text was parsed
 * before, so no variable can add structure. A string with a gap keeps its text.
 */
export function expand(
  root: unknown,
  from: Expansion,
): { readonly value: unknown; readonly gaps: readonly Gap[] } {
  const gaps: Gap[] = [];
  const visit = (value: unknown, path: Path): unknown => {
    if (typeof value === "string") {
      const text = expandText(value, from, (gap) => gaps.push({ ...gap, path }));
      return text ?? value;
    }
    if (Array.isArray(value)) return value.map((item, at) => visit(item, [...path, at]));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, part]) => [key, visit(part, [...path, key])]),
    );
  };
  return { value: visit(root, []), gaps };
}

const reference = /\$\$|\$\{([^}]*)(\}?)/g;
const variable = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

function expandText(
  text: string,
  { env, dir }: Expansion,
  report: (gap: Omit<Gap, "path">) => void,
): string | undefined {
  let whole = true;
  const expanded = text.replace(reference, (found, inner: string | undefined, end: string) => {
    if (inner === undefined) return "$";
    const [, name, fallback] = variable.exec(inner) ?? [];
    let value: string | undefined;
    if (end === "" || (name === undefined && !inner.startsWith("file:")))
      report({
        code: "config.bad-variable",
        // What is no name may be part of a secret.
        message: /^\$\{[\w.-]{1,40}\}$/.test(found)
          ? `${JSON.stringify(found)} is no variable.`
          : "a ${ here begins no variable.",
        fix: "Write ${NAME}, ${NAME:-default} or ${file:PATH}, or $${ for a literal ${.",
      });
    else if (name === undefined) value = readText(inner.slice("file:".length), dir, report);
    else {
      const set = Object.hasOwn(env, name) ? env[name] : undefined; // "constructor" is a name too
      value = fallback === undefined ? set : set || fallback;
      if (value === undefined)
        report({
          code: "config.unset-variable",
          message: `the environment variable ${name} is not set.`,
          fix: `Set ${name}, or give a default: \${${name}:-default}.`,
        });
    }
    whole &&= value !== undefined;
    return value ?? "";
  });
  return whole ? expanded : undefined;
}

function readText(
  path: string,
  dir: string,
  report: (gap: Omit<Gap, "path">) => void,
): string | undefined {
  try {
    return readFileSync(resolve(dir, path), "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    report({
      code: "config.unreadable-file",
      message: `the file ${JSON.stringify(path)} cannot be read (${(error as NodeJS.ErrnoException).code}).`,
      fix: `Create ${resolve(dir, path)}, or correct the path; it is relative to the config file.`,
    });
    return undefined;
  }
}
