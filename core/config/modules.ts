import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Problem } from "./issues.ts";
import { show } from "./show.ts";

/** A definition, as it is told from whatever else a module exports. */
export interface OfKind {
  readonly kind: string;
}

/** True for what a config writes to mean a file of its own. */
export function isPath(type: string): boolean {
  return /^(?:\.{1,2}\/|\/|[A-Za-z]:[\\/])/.test(type);
}

/** The file a config means: a path relative to `dir`, or the entry of a package that is installed where `dir` would find it. */
export function fileOf(type: string, dir: string): string | undefined {
  const file = isPath(type) ? resolve(dir, type) : packageEntry(type, dir);
  return file !== undefined && existsSync(file) ? file : undefined;
}

/** The one export of a module that is of the kind, made by its define function. `type` is what the config calls it. */
export async function exportOf(
  kind: string,
  { type, file }: { readonly type: string; readonly file: string },
): Promise<{ readonly found: OfKind } | { readonly problem: Problem }> {
  const define = `define${kind === "store" ? "VectorStore" : `${kind[0]?.toUpperCase()}${kind.slice(1)}`}()`;
  let module: object;
  try {
    module = (await import(pathToFileURL(file).href)) as object;
  } catch (error) {
    return {
      problem: {
        path: [],
        code: "config.broken-connector",
        message: `${show(type)} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
        fix: `Mend ${file}.`,
      },
    };
  }
  const exported = [...new Set(Object.values(module))].filter(isDefinition);
  const [first, ...more] = exported.filter((one) => one.kind === kind);
  if (first && more.length === 0) return { found: first };
  return {
    problem: {
      path: [],
      code: "config.broken-connector",
      message: first
        ? `${show(type)} exports ${more.length + 1} ${kind}s; a module holds one.`
        : `${show(type)} exports no ${kind}${exported[0] ? `, but a ${exported[0].kind}` : ""}.`,
      fix: `Export one ${kind} made with ${define} from ${file}.`,
    },
  };
}

function isDefinition(value: unknown): value is OfKind {
  return (
    value !== null &&
    typeof value === "object" &&
    "kind" in value &&
    typeof value.kind === "string" &&
    "config" in value &&
    "name" in value
  );
}

/** The module that `import` of the package would load, looked up from `dir` instead of from here. */
function packageEntry(name: string, dir: string): string | undefined {
  if (!/^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/.test(name)) return undefined;
  const folders = createRequire(join(dir, "config.js")).resolve.paths(name) ?? [];
  const home = folders.map((folder) => join(folder, name)).find((folder) => existsSync(folder));
  if (home === undefined) return undefined;
  const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as {
    readonly exports?: unknown;
    readonly main?: string;
  };
  return join(home, entryOf(manifest.exports) ?? manifest.main ?? "index.js");
}

function entryOf(exports: unknown): string | undefined {
  if (typeof exports === "string" || exports === undefined) return exports;
  if (Array.isArray(exports)) return entryOf(exports[0]);
  const conditions = exports as Readonly<Record<string, unknown>>;
  const key = [".", "node", "import", "default"].find((name) => name in conditions);
  return key === undefined ? undefined : entryOf(conditions[key]);
}
