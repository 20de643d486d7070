import { resolve } from "node:path";
import type { z } from "zod";
import type { Extension } from "../extension.ts";
import { problemsOf, type Problem } from "./issues.ts";
import { valueAt, type Path } from "./json-path.ts";
import { mapMarked, redact, rememberExtension } from "./marks.ts";
import { exportOf, fileOf, isPath } from "./modules.ts";
import { show } from "./show.ts";
import { typed } from "./typed.ts";

/** `{ use, config }` as a config writes it. */
interface Naming {
  readonly use: string;
  readonly config: unknown;
}

/**
 * Loads what a connector's config names by `use` (an embedder, a vector store) and parses the `config`
 * beside it. In the result `use` is the module's file; `portable` is the same as it was written, without
 * secrets: equal on every machine. What is wrong is told by its path in the config.
 */
export async function withExtensions(
  schema: z.ZodType,
  config: unknown,
  place: { readonly dir: string; readonly written: unknown },
): Promise<{
  readonly config: unknown;
  readonly portable: unknown;
  readonly problems: readonly Problem[];
}> {
  const named = new Map<unknown, Extension["kind"]>();
  mapMarked(schema, config, kinds, (part, kind) => (named.set(part, kind), part));
  const made = new Map<unknown, Loaded>();
  const problems: Problem[] = [];
  for (const [part, kind] of named) {
    const path = pathTo(config, part) ?? [];
    const loaded = await load(kind, part as Naming, { ...place, path }); // its schema says what it is
    if ("problems" in loaded) problems.push(...loaded.problems);
    else made.set(part, loaded);
  }
  // All at once: what a part was is known by the part itself, and a copy is another one.
  const replaced = (by: (loaded: Loaded) => unknown) =>
    mapMarked(schema, config, kinds, (part) => {
      const loaded = made.get(part);
      return loaded ? by(loaded) : part;
    });
  return {
    config: replaced(({ naming }) => naming),
    portable: replaced(({ portable }) => portable),
    problems,
  };
}

const kinds = ["embedder", "store"] as const;

interface Loaded {
  readonly naming: Naming;
  readonly portable: Naming;
}

async function load(
  kind: Extension["kind"],
  { use, config }: Naming,
  place: { readonly dir: string; readonly written: unknown; readonly path: Path },
): Promise<Loaded | { readonly problems: readonly Problem[] }> {
  const { dir, path } = place;
  const file = fileOf(use, dir);
  if (file === undefined) return { problems: [{ ...notFound(kind, use), path: [...path, "use"] }] };
  const made = await exportOf(kind, { type: use, file });
  if ("problem" in made) return { problems: [{ ...made.problem, path: [...path, "use"] }] };
  const { config: schema } = made.found;
  rememberExtension(file, schema);
  const written = valueAt(place.written, [...path, "config"]);
  const parsed = await schema.safeParseAsync(typed(schema, written, config));
  if (!parsed.success) {
    const inside = problemsOf(parsed.error, { schema, written });
    return { problems: inside.map((one) => ({ ...one, path: [...path, "config", ...one.path] })) };
  }
  const absolute = mapMarked(schema, parsed.data, "path", (value) =>
    typeof value === "string" ? resolve(dir, value) : value,
  );
  return {
    naming: { use: file, config: absolute },
    portable: { use, config: redact(schema, parsed.data) },
  };
}

function notFound(kind: Extension["kind"], use: string): Omit<Problem, "path"> {
  const what = kind === "store" ? "vector store" : kind;
  return {
    code: "config.unknown-connector",
    message: isPath(use)
      ? `${show(use)} is no file.`
      : `there is no ${what} ${show(use)} installed.`,
    fix: isPath(use)
      ? "Correct the path; it is relative to the config file."
      : `Name an installed package, or the path of a ${what} of your own (./${use}.js).`,
  };
}

function pathTo(value: unknown, wanted: unknown): Path | undefined {
  if (value === wanted) return [];
  if (value === null || typeof value !== "object") return undefined;
  for (const [key, part] of Object.entries(value)) {
    const rest = pathTo(part, wanted);
    if (rest) return [Array.isArray(value) ? Number(key) : key, ...rest];
  }
  return undefined;
}
