import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** One name that a package exports. */
interface Exported {
  readonly name: string;
  /** What it promises, from its docblock. */
  readonly about: string;
  readonly declaration: string;
}

/**
 * The page of all that `index`, a built `index.d.ts`, exports: each with its docblock and its declaration, in the order of
 * the file. A change of what others build on is a change of this page. Throws where a name has no docblock.
 */
export function apiPage(index: string, heading: readonly string[]): string {
  const sections = [
    ...readFileSync(index, "utf8").matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)";/gm),
  ]
    .map(([, names = "", module = ""]) => ({ names: namesIn(names), module }))
    .filter(({ module }) => module.startsWith("."))
    .map(({ names, module }) => section(names, join(dirname(index), module)));
  const silent = sections.flat().filter(({ about }) => about === "");
  if (silent.length > 0)
    throw new Error(`exported without a docblock: ${silent.map(({ name }) => name).join(", ")}`);
  const lines = sections
    .flat()
    .flatMap(({ name, about, declaration }) => [
      `## ${name}`,
      "",
      about,
      "",
      "```ts",
      declaration,
      "```",
      "",
    ]);
  return [...heading, "", ...lines].join("\n");
}

function namesIn(list: string): readonly string[] {
  return list
    .split(",")
    .map((name) => name.replace(/^\s*type\s/, "").trim())
    .filter(Boolean);
}

function section(names: readonly string[], module: string): readonly Exported[] {
  const file = module.replace(/\.[jt]s$/, ".d.ts");
  const statements = statementsOf(readFileSync(file, "utf8"));
  return names.map((name) => {
    const wanted = new RegExp(
      `^export (?:declare )?(?:const|function|class|interface|type) ${name}\\b`,
    );
    const found = statements.find(({ code }) => wanted.test(code));
    if (!found) throw new Error(`${name} is not declared in ${basename(file)}`);
    return { name, about: found.about, declaration: found.code.replace(/^export (declare )?/, "") };
  });
}

/** The top-level statements of a declaration file, each with the docblock before it. */
function statementsOf(text: string): readonly { readonly about: string; readonly code: string }[] {
  return [
    ...text.matchAll(
      /(?:^\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?^((?:export|declare|import|interface|type)\b[^]*?)(?=\n(?:export|declare|import|interface|type|\/\*\*|\/\/#)|$(?![^]))/gm,
    ),
  ].map(([, doc = "", code = ""]) => ({
    about: doc.replaceAll(/^\s*\*? ?/gm, "").trim(),
    code: code.trim(),
  }));
}
