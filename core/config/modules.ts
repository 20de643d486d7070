import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import type { Connector } from "../connector.ts";
import { connectorApi } from "../connector-api.ts";
import { SluiceError } from "../errors.ts";
import type { Extension } from "../extension.ts";
import { importModule } from "./import-module.ts";
import type { Problem } from "./issues.ts";
import { show } from "./show.ts";

/** A definition, as it is told from whatever else a module exports. */
export type Definition = Connector | Extension;
type DefinedKind = Definition["kind"];

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
export async function exportOf<K extends DefinedKind>(
  kind: K,
  { type, file }: { readonly type: string; readonly file: string },
): Promise<{ readonly found: Extract<Definition, { kind: K }> } | { readonly problem: Problem }> {
  const module = await definitionsOf({ type, file });
  if ("problem" in module) return module;
  const isWanted = (one: Definition): one is Extract<Definition, { kind: K }> => one.kind === kind;
  const [first, ...more] = module.found.filter(isWanted);
  if (first && more.length === 0) return { found: first };
  const [other] = module.found;
  return {
    problem: broken(
      first
        ? `${show(type)} exports ${more.length + 1} ${kind}s; a module holds one.`
        : `${show(type)} exports no ${kind}${other ? `, but ${other.kind === "embedder" ? "an" : "a"} ${other.kind}` : ""}.`,
      `Export one ${kind} made with ${definerOf(kind)} from ${file}.`,
    ),
  };
}

/** All that a module exports and a define function of this or another copy of Sluice made. */
export async function definitionsOf({
  type,
  file,
}: {
  readonly type: string;
  readonly file: string;
}): Promise<{ readonly found: readonly Definition[] } | { readonly problem: Problem }> {
  let module: object;
  try {
    module = await importModule(file);
  } catch (error) {
    return {
      problem: broken(
        `${show(type)} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
        fixOf(error, file),
      ),
    };
  }
  const found = [...new Set<unknown>(Object.values(module))].filter(isDefinition);
  const problem = found.map((one) => misfitOf(one, type)).find((one) => one !== undefined);
  return problem ? { problem } : { found };
}

function fixOf(error: unknown, file: string): string {
  if (error instanceof SluiceError && error.fix !== undefined) return error.fix;
  return /\.[cm]?ts$/.test(file) && error instanceof TypeError
    ? `Compile it and name the result: this Node (${process.version}) runs no TypeScript.`
    : `Mend ${file}.`;
}

/** Why this Sluice cannot run what another copy, or nobody's define function, made. */
function misfitOf({ kind, apiVersion, config }: Definition, type: string): Problem | undefined {
  const version: unknown = apiVersion; // as strangers stamped it
  if (typeof version !== "number")
    return broken(
      `${show(type)} exports a ${kind} that no define function made.`,
      `Make it with ${definerOf(kind)} of "sluice".`,
    );
  if (version !== connectorApi) {
    const isNewer = version > connectorApi;
    return {
      path: [],
      code: "config.connector-api",
      message: `${show(type)} is made for version ${version} of the connector API; this Sluice has version ${connectorApi}.`,
      fix: isNewer
        ? "Update this Sluice: npm install sluice@latest"
        : isPath(type)
          ? "Build it with the Sluice that runs it."
          : `Update the connector: npm install ${type}@latest`,
    };
  }
  if ("_zod" in config && "meta" in config) return undefined; // zod/mini has no `meta`
  return broken(
    `${show(type)} has a config that is no schema of zod 4.`,
    'Make it with the z of Sluice: import { z } from "sluice".',
  );
}

function definerOf(kind: DefinedKind): string {
  const noun = kind === "store" ? "vectorStore" : kind;
  return `define${noun[0]?.toUpperCase()}${noun.slice(1)}()`;
}

function broken(message: string, fix: string): Problem {
  return { path: [], code: "config.broken-connector", message, fix };
}

const definedKinds: ReadonlySet<unknown> = new Set<DefinedKind>([
  "source",
  "transform",
  "sink",
  "embedder",
  "store",
]);

function isDefinition(value: unknown): value is Definition {
  return (
    value !== null &&
    typeof value === "object" &&
    "kind" in value &&
    definedKinds.has(value.kind) &&
    "config" in value &&
    typeof value.config === "object" &&
    value.config !== null &&
    "name" in value
  );
}

/** The module that `import` of the package would load, looked up from `dir` instead of from here. */
function packageEntry(name: string, dir: string): string | undefined {
  if (!/^(?:@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/.test(name)) return undefined;
  const folders = createRequire(join(dir, "config.js")).resolve.paths(name) ?? [];
  const home = folders
    .map((folder) => join(folder, name))
    .find((folder) => existsSync(join(folder, "package.json")));
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
