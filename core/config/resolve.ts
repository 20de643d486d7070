import type { Connector } from "../connector.ts";
import { kinds, shelf, type Catalog, type Kind } from "./catalog.ts";
import type { Problem } from "./issues.ts";
import { exportOf, fileOf, isPath } from "./modules.ts";
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

  const file = fileOf(type, dir);
  if (file === undefined) return { problem: notFound(kind, type, catalog) };
  const made = await exportOf(kind, { type, file });
  // TypeScript does not see that the kinds of connectors are among those of definitions.
  return "found" in made ? { connector: made.found as Extract<Connector, { kind: K }> } : made;
}

function notFound(kind: Kind, type: string, catalog: Catalog): Problem {
  const problem = (message: string, fix: string): Problem => ({
    path: [],
    code: "config.unknown-connector",
    message,
    fix,
  });
  if (isPath(type))
    return problem(
      `${show(type)} is no file.`,
      /\/dist\//.test(type)
        ? "Build it, or correct the path; it is relative to the config file."
        : "Correct the path; it is relative to the config file.",
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
