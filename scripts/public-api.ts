import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** What one entry point of a package exports: a built `index.d.ts`, and what stands above its names on the page. */
export interface EntryPoint {
  readonly index: string;
  readonly heading: readonly string[];
}

/** A declared name: the file that declares it, the name there. */
type Place = `${string}#${string}`;

interface Statement {
  /** What it promises, from its docblock. */
  readonly about: string;
  readonly code: string;
}

/** One name that a package exports. */
interface Exported extends Statement {
  /** As users write it. */
  readonly name: string;
  readonly place: Place;
}

/**
 * The page of all that the entry points export: each name with its docblock and its declaration, in the order of the
 * files. A change of what others build on is a change of this page. Throws where a name has no docblock, and where a
 * declaration names what is not on the page: whoever builds on that could neither read of it nor write it.
 */
export function apiPage(entries: readonly EntryPoint[]): string {
  const parts = entries.map(({ index, heading }) => ({ heading, names: exportedBy(index) }));
  const all = parts.flatMap(({ names }) => names);
  const silent = all.filter(({ about }) => about === "");
  if (silent.length > 0)
    throw new Error(`exported without a docblock: ${silent.map(({ name }) => name).join(", ")}`);
  const known = new Set(all.map(({ place }) => place));
  const hidden = all.flatMap((one) =>
    placesIn(one)
      .filter((place) => !known.has(place))
      .map((place) => `${nameOf(place)} (by ${one.name})`),
  );
  if (hidden.length > 0)
    throw new Error(`named in what is exported, and not exported: ${hidden.join(", ")}`);
  return parts
    .flatMap(({ heading, names }) => [
      ...heading,
      "",
      ...names.flatMap(({ name, about, code }) => [
        `## ${name}`,
        "",
        about,
        "",
        "```ts",
        code.replace(/^export (declare )?/, ""),
        "```",
        "",
      ]),
    ])
    .join("\n");
}

function exportedBy(index: string): readonly Exported[] {
  const text = readFileSync(index, "utf8");
  const named = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from "(\.[^"]+)";/gm)].flatMap(
    ([, names = "", module = ""]) =>
      namesIn(names).map(({ name }) => ({ name, place: placeOf(index, module, name) })),
  );
  const held = placesNamed(index, text);
  const own = statementsOf(text).flatMap(({ code }) => {
    // An object of functions that are declared elsewhere: each is a name, `fakes.clock`.
    const [, object, members = ""] = /^export declare const (\w+): \{([^}]*)\};/.exec(code) ?? [];
    return [...members.matchAll(/readonly (\w+): typeof (\w+);/g)].flatMap(
      ([, member, name = ""]) => {
        const place = held.get(name);
        return place ? [{ name: `${object}.${member}`, place }] : [];
      },
    );
  });
  return [...own, ...named].map(({ name, place }) => ({ name, place, ...statementAt(place) }));
}

function statementAt(place: Place): Statement {
  const wanted = new RegExp(
    `^export (?:declare )?(?:const|function|class|interface|type) ${nameOf(place)}\\b`,
  );
  const found = statementsOf(readFileSync(fileOf(place), "utf8")).find(({ code }) =>
    wanted.test(code),
  );
  if (!found) throw new Error(`${nameOf(place)} is not declared in ${basename(fileOf(place))}`);
  return found;
}

/** What a declaration names of the package's own. */
function placesIn({ place, code }: Exported): readonly Place[] {
  const held = placesNamed(fileOf(place), readFileSync(fileOf(place), "utf8"));
  const bare = code.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/"[^"]*"/g, '""');
  // Types are written with a capital; of values, only their types are named.
  const names = [...bare.matchAll(/\b[A-Z]\w*\b|(?<=\btypeof )\w+/g)].map(([name]) => name);
  return [...new Set(names)].flatMap((name) => held.get(name) ?? []);
}

/** Where the names come from that a declaration file of the package uses: its own, and imports from beside it. */
function placesNamed(file: string, text: string): ReadonlyMap<string, Place> {
  const imports = [...text.matchAll(/^import (?:type )?\{([^}]*)\} from "(\.[^"]+)";/gm)];
  const own = [
    ...text.matchAll(/^(?:export )?(?:declare )?(?:const|function|class|interface|type) (\w+)/gm),
  ];
  return new Map([
    ...imports.flatMap(([, names = "", module = ""]) =>
      namesIn(names).map(({ name, as }) => [as, placeOf(file, module, name)] as const),
    ),
    ...own.map(([, name = ""]) => [name, `${file}#${name}`] as const),
  ]);
}

function placeOf(from: string, module: string, name: string): Place {
  return `${join(dirname(from), module.replace(/\.[jt]s$/, ".d.ts"))}#${name}`;
}

function fileOf(place: Place): string {
  return place.slice(0, place.lastIndexOf("#"));
}

function nameOf(place: Place): string {
  return place.slice(place.lastIndexOf("#") + 1);
}

function namesIn(list: string): readonly { readonly name: string; readonly as: string }[] {
  return list
    .split(",")
    .map((one) => one.replace(/^\s*type\s/, "").trim())
    .filter(Boolean)
    .map((one) => {
      const [name = "", as = name] = one.split(" as ");
      return { name, as };
    });
}

/** The top-level statements of a declaration file, each with the docblock before it. */
function statementsOf(text: string): readonly Statement[] {
  return [
    ...text.matchAll(
      /(?:^\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?^((?:export|declare|import|interface|type)\b[^]*?)(?=\n(?:export|declare|import|interface|type|\/\*\*|\/\/#)|$(?![^]))/gm,
    ),
  ].map(([, doc = "", code = ""]) => ({
    about: doc.replaceAll(/^\s*\*? ?/gm, "").trim(),
    code: code.trim(),
  }));
}
