import picomatch from "picomatch";
import { byBytes } from "./byte-order.ts";

/** Which keys of the bucket are records. */
export interface Select {
  /** In byte order, none inside another: together they cover every wanted key. */
  readonly prefixes: readonly string[];
  readonly wants: (key: string) => boolean;
}

/** `s`: a key may hold a newline. `dot`: only what `exclude` says is left out. */
const options = { dot: true, flags: "s" };

export function select(patterns: {
  readonly prefixes: readonly string[];
  readonly suffixes: readonly string[];
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}): Select {
  const { suffixes, include, exclude } = patterns;
  const prefixes = outermost(patterns.prefixes);
  // `**` as a glob does not match all keys: there are `a//b` and `../a` among them.
  const included = include.includes("**") ? () => true : picomatch([...include], options);
  const excludes = picomatch([...exclude], options);
  return {
    prefixes,
    wants: (key) =>
      // What is not text cannot name a record.
      !key.includes("\0") &&
      prefixes.some((prefix) => key.startsWith(prefix)) &&
      (suffixes.length === 0 || suffixes.some((suffix) => key.endsWith(suffix))) &&
      included(key) &&
      (exclude.length === 0 || !ancestry(key).some((part) => excludes(part))),
  };
}

function outermost(prefixes: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (const prefix of prefixes.toSorted(byBytes)) {
    const last = kept.at(-1);
    if (last === undefined || !prefix.startsWith(last)) kept.push(prefix);
  }
  return kept;
}

/** `a/b/c` → `a`, `a/b`, `a/b/c`: a pattern that excludes `a` excludes all below it. */
function ancestry(key: string): readonly string[] {
  const parts: string[] = [];
  for (let at = key.indexOf("/"); at !== -1; at = key.indexOf("/", at + 1))
    parts.push(key.slice(0, at));
  parts.push(key);
  return parts;
}
