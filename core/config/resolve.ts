import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Connector } from "../connector.ts";
import { kinds, shelf, type Catalog, type Kind } from "./catalog.ts";
import type { Problem } from "./issues.ts";
import { nearest } from "./nearest.ts";
import { show } from "./show.ts";

export type Found<C> = { readonly connector: C } | { readonly problem: Problem };

/**
 * The connector that a config names: a built-in, a path relative to `dir`, or an npm package that is
 * installed where `dir` would find it. A module exports one connector of the kind.
 */
export async function resolveConnector<K extends Kind>(
  kind: K,
  type: string,
  { dir, catalog }: { readonly dir: string; readonly catalog: Catalog },
): Promise<Found<Extract<Connector, { kind: K }>>> {
  const shelved = shelf(catalog, kind);
  const builtIn = Object.hasOwn(shelved, type) ? shelved[type] : undefined;
  // The shelf of a kind holds connectors of that kind.
  if (builtIn) return { connector: (await builtIn()) as Extract<Connector, { kind: K }> };

  const isPath = /^(?:\.{1,2}\/|\/|[A-Za-z]:[\\/])/.test(type);
  const file = isPath ? resolve(dir, type) : packageEntry(type, dir);
  if (file === undefined || !existsSync(file))
    return { problem: notFound(kind, type, isPath, catalog) };
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
  const exported = [...new Set(Object.values(module))].filter(isConnector);
  const [first, ...more] = exported.filter((one) => one.kind === kind);
  if (first && more.length === 0) return { connector: first as Extract<Connector, { kind: K }> }; // filtered by kind
  return {
    problem: {
      path: [],
      code: "config.broken-connector",
      message: first
        ? `${show(type)} exports ${more.length + 1} ${kind}s; a module holds one.`
        : `${show(type)} exports no ${kind}${exported[0] ? `, but a ${exported[0].kind}` : ""}.`,
      fix: `Export one ${kind} made with define${kind[0]?.toUpperCase()}${kind.slice(1)}() from ${file}.`,
    },
  };
}

function notFound(kind: Kind, type: string, isPath: boolean, catalog: Catalog): Problem {
  const problem = (message: string, fix: string): Problem => ({
    path: [],
    code: "config.unknown-connector",
    message,
    fix,
  });
  if (isPath)
    return problem(
      `${show(type)} is no file.`,
      "Correct the path; it is relative to the config file.",
    );
  const other = kinds.find((one) => Object.hasOwn(shelf(catalog, one), type));
  if (other) return problem(`${show(type)} is a ${other}, not a ${kind}.`, `Use it as a ${other}.`);
  const names = Object.keys(shelf(catalog, kind));
  const close = nearest(type, names);
  return problem(
    `there is no ${kind} ${show(type)}, built in or installed.`,
    close ? `Write ${show(close)}.` : installing(type, kind, names),
  );
}

/** Only what is named like a connector's package is told to install: a typo must not bring in a stranger's code. */
function installing(type: string, kind: string, names: readonly string[]): string {
  const builtIn = names.length > 0 ? `Built in are ${names.join(", ")}. ` : "";
  if (/sluice/.test(type)) return `${builtIn}If it is a package, run: npm install ${type}`;
  return `${builtIn}Write one of them, an installed package, or the path of a ${kind} of your own (./${type}.js).`;
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

function isConnector(value: unknown): value is Connector {
  return (
    value !== null &&
    typeof value === "object" &&
    kinds.some((kind) => "kind" in value && value.kind === kind) &&
    "config" in value &&
    "name" in value
  );
}
