import type { Finding } from "../connector.ts";
import type { Extension } from "../extension.ts";
import { kinds, shelf, type Catalog } from "./catalog.ts";
import { below, expandedAt, findingAt, readDocument, writtenAt, type Spot } from "./document.ts";
import { definitionsOf, fileOf, type Definition } from "./modules.ts";
import { resolveConnector } from "./resolve.ts";

/** What a config names that is no built-in. */
export interface Named {
  /** As the file writes it: a package or a path. */
  readonly type: string;
  readonly definition: Definition;
}

/**
 * The connectors, embedders and vector stores from packages and paths that config files name, each once, in the order
 * of the files. What is wrong with the files otherwise does not matter here. What cannot be had goes to `findings`.
 */
export async function namedIn(
  files: readonly string[],
  { env, catalog }: { readonly env: NodeJS.ProcessEnv; readonly catalog: Catalog },
  findings: Finding[],
): Promise<readonly Named[]> {
  const named: Named[] = [];
  const add = (type: string, definition: Definition) => {
    if (!named.some((one) => one.type === type && one.definition.kind === definition.kind))
      named.push({ type, definition });
  };
  for (const file of files) {
    const unreadable: Finding[] = [];
    const document = readDocument(file, env, unreadable);
    if (!document) findings.push(...unreadable);
    const spots = document ? connectorsOf({ document, path: [] }) : [];
    for (const { spot, kind } of spots) {
      const [type, written] = [expandedAt(spot), writtenAt(spot)];
      if (typeof type !== "string" || typeof written !== "string" || type === "") continue;
      const { dir } = spot.document;
      if (kind !== "extension") {
        if (Object.hasOwn(shelf(catalog, kind), type)) continue;
        const found = await resolveConnector(kind, type, { dir, catalog });
        if ("problem" in found) findings.push(findingAt(spot, found.problem));
        else add(written, found.connector);
        continue;
      }
      const at = fileOf(type, dir);
      if (at === undefined) continue; // an option that happens to be called so
      const module = await definitionsOf({ type, file: at });
      if ("problem" in module) findings.push(findingAt(spot, module.problem));
      else for (const one of module.found.filter(isExtension)) add(written, one);
    }
  }
  return named;
}

interface Place {
  readonly spot: Spot;
  readonly kind: (typeof kinds)[number] | "extension";
}

/** Every place of a file where a connector or an extension is named. */
function connectorsOf(root: Spot): readonly Place[] {
  const list = expandedAt(below(root, "connectors"));
  const all = Array.isArray(list)
    ? [...list.keys()].map((at) => below(root, "connectors", at))
    : [root];
  return all.flatMap((spot) => {
    const stages = expandedAt(below(spot, "transforms"));
    const inline = Array.isArray(stages)
      ? [...stages.keys()].map((at) => below(spot, "transforms", at))
      : [];
    return [
      ...kinds.map((kind): Place => ({ spot: below(spot, kind), kind })),
      ...inline.map((one): Place => ({ spot: below(one, "use"), kind: "transform" })),
      ...[spot, ...inline].flatMap((one) => extensionsIn(below(one, "config"))),
    ];
  });
}

function extensionsIn(spot: Spot): readonly Place[] {
  const value = expandedAt(spot);
  if (value === null || typeof value !== "object") return [];
  const keys = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  return keys.flatMap((key): readonly Place[] =>
    key === "use"
      ? [{ spot: below(spot, key), kind: "extension" }]
      : extensionsIn(below(spot, key)),
  );
}

function isExtension(one: Definition): one is Extension {
  return one.kind === "embedder" || one.kind === "store";
}
