import picomatch from "picomatch";

/** Which paths below a folder are its records. Paths are relative, with `/`. */
export interface Select {
  readonly file: (path: string) => boolean;
  /** False: nothing below it is wanted, so it is neither read nor watched. */
  readonly folder: (path: string) => boolean;
}

/** `s`: a name may hold a newline. Dot files are left out by `exclude`, where a reader sees it. */
const options = { dot: true, flags: "s" };

/** A pattern of `exclude` that matches a folder excludes all below it. */
export function select(patterns: {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}): Select {
  const included = picomatch([...patterns.include], options);
  const excludes = picomatch([...patterns.exclude], options);
  const excluded = (path: string) => prefixesOf(path).some((prefix) => excludes(prefix));
  return {
    file: (path) => included(path) && !excluded(path),
    folder: (path) => !excluded(path),
  };
}

/** One file of a folder and nothing else of it. */
export function selectOnly(name: string): Select {
  return { file: (path) => path === name, folder: (path) => path === "" };
}

/** `a/b/c` → `a`, `a/b`, `a/b/c`. */
export function prefixesOf(path: string): readonly string[] {
  const parts = path === "" ? [] : path.split("/");
  return parts.map((_, at) => parts.slice(0, at + 1).join("/"));
}
