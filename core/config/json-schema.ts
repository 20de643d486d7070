/* oxlint-disable unicorn/no-thenable -- "then" is a keyword of JSON Schema. */
import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { kinds, shelf, type Catalog, type Kind } from "./catalog.ts";
import { connectorFile, pipelineFile } from "./file.ts";

type Schema = Record<string, unknown>;

/**
 * The JSON Schema (draft 2020-12) of a config file. Editors complete the names of built-in
 * connectors and, once one is named, its options; connectors from packages take any.
 */
export async function toJsonSchema(catalog: Catalog): Promise<object> {
  const defs = new Map<string, Schema>();
  const add = (name: string, schema: z.ZodType) => defs.set(name, convert(schema, defs));

  add("pipeline", pipelineFile);
  set(defs, "pipeline", ["properties", "connectors", "items"], ref("connector"));
  for (const kind of kinds) {
    add(kind, connectorFile[kind]);
    bind(defs, kind, kind, await shelve(kind, catalog, defs));
  }
  defs.set("stage", stageOf(defs));
  bind(defs, "stage", "use", await shelve("transform", catalog, defs));
  for (const kind of ["transform", "sink"])
    set(defs, kind, ["properties", "transforms", "items"], ref("stage"));
  defs.set("connector", {
    type: "object",
    anyOf: kinds.map((kind) => ({ required: [kind] })),
    allOf: kinds.map((kind) => ({ if: { required: [kind] }, then: ref(kind) })),
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Sluice: a pipeline, or one connector",
    type: "object",
    if: { anyOf: kinds.map((kind) => ({ required: [kind] })) },
    then: ref("connector"),
    else: ref("pipeline"),
    $defs: Object.fromEntries([...defs].toSorted(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function ref(name: string): Schema {
  return { $ref: `#/$defs/${name}` };
}

/** Converts a schema; what it shares by id moves to the common definitions. */
function convert(schema: z.ZodType, defs: Map<string, Schema>): Schema {
  const {
    $schema: _,
    $defs: shared = {},
    ...rest
  } = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override: ({ jsonSchema }) => loosen(jsonSchema as Schema),
  }) as Schema & { $defs?: Record<string, Schema> };
  for (const [id, one] of Object.entries(shared)) {
    const known = defs.get(id);
    if (known && canonicalJson(known) !== canonicalJson(one))
      throw new Error(`two schemas share the id ${id}`);
    defs.set(id, one);
  }
  return rest;
}

/** A `${VARIABLE}` may stand for a number or a truth, and be part of a text. */
function loosen(schema: Schema): void {
  for (const mark of ["secret", "path", "embedder", "store", "change"]) delete schema[mark];
  switch (schema["type"]) {
    case "string":
      return allow({ pattern: "\\$\\{" }, textLimits, schema);
    case "number":
    case "integer":
    case "boolean":
      return allow({ type: "string", pattern: "^\\$\\{[^}]*\\}$" }, otherLimits, schema);
  }
}

const textLimits = ["enum", "pattern", "format", "minLength", "maxLength", "contentEncoding"];
const bounds = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const otherLimits = ["type", "const", "enum", ...bounds];

function allow(other: Schema, limits: readonly string[], schema: Schema): void {
  const strict = limits.filter((key) => key in schema).map((key) => [key, schema[key]] as const);
  if (strict.length === 0) return;
  for (const key of limits) delete schema[key];
  schema["anyOf"] = [Object.fromEntries(strict), other];
}

/** Adds each built-in's options to the definitions; the names, with their summaries. */
async function shelve(kind: Kind, catalog: Catalog, defs: Map<string, Schema>) {
  const names: { name: string; summary: string; options: Schema; required: boolean }[] = [];
  for (const [name, load] of Object.entries(shelf(catalog, kind))) {
    const { config, summary } = await load();
    const id = `${kind}.${name}`;
    const options = convert(config, defs);
    defs.set(id, options);
    const required = Array.isArray(options["required"]) && options["required"].length > 0;
    names.push({ name, summary, options: ref(id), required });
  }
  return names;
}

/** Lets `key` of a definition choose what its `config` may hold. */
function bind(
  defs: Map<string, Schema>,
  definition: string,
  key: string,
  names: Awaited<ReturnType<typeof shelve>>,
): void {
  const properties = defs.get(definition)?.["properties"] as Record<string, Schema> | undefined;
  const description = properties?.[key]?.["description"];
  set(defs, definition, ["properties", key], {
    description,
    anyOf: [
      ...names.map(({ name, summary }) => ({ const: name, description: summary })),
      { type: "string", minLength: 1 },
    ],
  });
  set(
    defs,
    definition,
    ["allOf"],
    names.map(({ name, options, required }) => ({
      if: { properties: { [key]: { const: name } }, required: [key] },
      then: { properties: { config: options }, ...(required && { required: ["config"] }) },
    })),
  );
}

/** Inline transforms: the item schema that transforms and sinks share. */
function stageOf(defs: Map<string, Schema>): Schema {
  const properties = defs.get("sink")?.["properties"] as Record<string, Schema>;
  return properties["transforms"]?.["items"] as Schema; // both are in the file's schema
}

function set(
  defs: Map<string, Schema>,
  definition: string,
  path: readonly string[],
  value: unknown,
): void {
  let at = defs.get(definition) ?? {};
  for (const key of path.slice(0, -1)) at = at[key] as Schema; // made by convert above
  at[path.at(-1) ?? ""] = value;
}
