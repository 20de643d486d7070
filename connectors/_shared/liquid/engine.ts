import { createRequire } from "node:module";
import type { Context, FilterImplOptions, Liquid } from "liquidjs";
import { date } from "./date.ts";
import { canonical } from "./canonical.ts";
import { parseJson } from "./json-text.ts";

export type Library = typeof import("liquidjs");

export interface Engine {
  readonly liquid: Liquid;
  readonly library: Library;
}

/** Characters and list items that one rendering may make: output, captures and what filters make of their input. */
export const memoryLimit = 64 * 2 ** 20;

const otherTemplates = "a template reads no other";
const asCode = "it runs a text as template code";
const useDate = "use `date`";

/** What the engine knows and a template may not use, and why. */
export const refused: {
  readonly tags: ReadonlyMap<string, string>;
  readonly filters: ReadonlyMap<string, string>;
} = {
  tags: new Map([
    ["include", otherTemplates],
    ["render", otherTemplates],
    ["layout", otherTemplates],
    ["block", otherTemplates],
    ["increment", "it writes into the record; use `assign` with `plus`"],
    ["decrement", "it writes into the record; use `assign` with `minus`"],
    ["cycle", "its filters are not known before it renders"],
  ]),
  filters: new Map([
    ["sample", "its result is left to chance"],
    ["where_exp", asCode],
    ["reject_exp", asCode],
    ["group_by_exp", asCode],
    ["has_exp", asCode],
    ["find_exp", asCode],
    ["find_index_exp", asCode],
    ["date_to_xmlschema", useDate],
    ["date_to_rfc822", useDate],
    ["date_to_string", useDate],
    ["date_to_long_string", useDate],
  ]),
};

let engine: Engine | undefined;

/** Liquid without files, clock, chance and code in values, the same on every machine. Loaded by the first template. */
export function openEngine(): Engine {
  if (engine) return engine;
  // Not `import()`: a config is checked without waiting.
  const library = createRequire(import.meta.url)("liquidjs") as Library;
  const liquid = new library.Liquid({
    templates: {},
    strictFilters: true,
    lenientIf: true,
    ownPropertyOnly: true,
    memoryLimit,
  });
  for (const name of refused.tags.keys()) delete liquid.tags[name];
  for (const name of refused.filters.keys()) liquid.unregisterFilter(name);
  liquid.registerFilter("date", date);
  liquid.registerFilter("parse_json", opened);
  for (const name of searches) liquid.registerFilter(name, lenient(library.filters[name]));

  // The engine bounds what filters make, but neither its output nor what is captured.
  const { renderer } = liquid;
  const renderTemplates = renderer.renderTemplates.bind(renderer);
  renderer.renderTemplates = (templates, context, emitter = bounded(context, library)) =>
    renderTemplates(templates, context, emitter);

  engine = { liquid, library };
  return engine;
}

/** They ask every item for something that an item may lack. */
const searches = ["where", "reject", "find", "find_index", "has", "group_by"];

function lenient(filter: FilterImplOptions | undefined): FilterImplOptions {
  return function (value: unknown, ...args: readonly unknown[]): unknown {
    const context = Object.create(this.context, { strictVariables: { value: false } }) as Context;
    return typeof filter === "function" && filter.call({ ...this, context }, value, ...args);
  };
}

function bounded(context: Context, { toValue }: Library) {
  return {
    buffer: "",
    write(value: unknown) {
      const text = typeof value === "string" ? value : printed(toValue(value) as Printable);
      context.memoryLimit.use(text.length);
      this.buffer += text;
    },
  };
}

type Printable =
  | null
  | undefined
  | boolean
  | number
  | string
  | Printable[]
  | { readonly toString: () => string };

function printed(value: Printable): string {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.map(printed).join("") : String(value);
}

/** `parse_json`: what a JSON text holds. */
function opened(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return canonical(parseJson(value));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new Error("parse_json: the text is no JSON", { cause });
  }
}
