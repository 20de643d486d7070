/* oxlint-disable unicorn/no-thenable -- "then" is a keyword of JSON Schema. */
import { z } from "zod";
import { canonicalJson } from "./canonical.ts";
import { kinds, shelf, type Catalog, type Kind } from "./catalog.ts";
import { connectorFile, pipelineFile } from "./file.ts";
import type { Definition } from "./modules.ts";
import type { Named } from "./named.ts";

type Schema = Record<string, unknown>;

/**
 * The JSON Schema (draft 2020-12) of a config file. Editors complete the names of built-in connectors and of what is
 * `named` (see `namedIn`) and, once one is named, its options; others from packages take any.
 */
export async function toJsonSchema(
  catalog: Catalog,
  named: readonly Named[] = [],
): Promise<object> {
  const defs = new Map<string, Schema>();
  const extensions = named
    .filter(({ definition: { kind } }) => kind === "embedder" || kind === "store")
    .map(({ type, definition }) => describe(definition, { type, defs, extensions: [] }));
  const add = (name: string, schema: z.ZodType) =>
    defs.set(name, convert(schema, { defs, extensions }));

  add("pipeline", pipelineFile);
  set(defs, "pipeline", ["properties", "connectors", "items"], ref("connector"));
  const all = await Promise.all(
    kinds.flatMap((kind) =>
      Object.entries(shelf(catalog, kind)).map(async ([type, load]) =>
        describe(await load(), { type, defs, extensions }),
      ),
    ),
  );
  for (const { type, definition } of named)
    if (kinds.some((kind) => kind === definition.kind))
      all.push(describe(definition, { type, defs, extensions }));
  const of = (kind: Kind) => all.filter((one) => one.kind === kind);
  for (const kind of kinds) {
    add(kind, connectorFile[kind]);
    bind(defs.get(kind), kind, of(kind));
  }
  defs.set("stage", stageOf(defs));
  bind(defs.get("stage"), "use", of("transform"));
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
  const pointer = name.replaceAll("~", "~0").replaceAll("/", "~1");
  return { $ref: `#/$defs/${encodeURIComponent(pointer)}` };
}

interface Described {
  readonly kind: Definition["kind"];
  /** What a config calls it. */
  readonly type: string;
  readonly summary: string;
  readonly options: Schema;
  /** It has an option without a default. */
  readonly isRequired: boolean;
}

interface Conversion {
  /** Shared definitions, which grow. */
  readonly defs: Map<string, Schema>;
  /** What may stand where a schema takes an embedder or a store. */
  readonly extensions: readonly Described[];
}

/** Adds what a connector or an extension takes to the definitions. */
function describe(
  { kind, config, summary }: Definition,
  { type, ...conversion }: Conversion & { readonly type: string },
): Described {
  const options = convert(config, conversion);
  const id = `${kind}.${type}`;
  conversion.defs.set(id, options);
  const isRequired = Array.isArray(options["required"]) && options["required"].length > 0;
  return { kind, type, summary, options: ref(id), isRequired };
}

/** Converts a schema; what it shares by id moves to the common definitions. */
function convert(schema: z.ZodType, { defs, extensions }: Conversion): Schema {
  const {
    $schema: _,
    $defs: shared = {},
    ...rest
  } = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override: ({ jsonSchema }) => {
      for (const kind of ["embedder", "store"]) {
        const fitting = extensions.filter((one) => one.kind === kind);
        if ((jsonSchema as Schema)[kind] === true && fitting.length > 0)
          bind(jsonSchema, "use", fitting);
      }
      loosen(jsonSchema);
    },
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

/** Lets what stands under `key` of an object choose what its `config` may hold. */
function bind(schema: Schema | undefined, key: string, all: readonly Described[]): void {
  const properties = schema?.["properties"] as Record<string, Schema> | undefined;
  if (!schema || !properties) return;
  properties[key] = {
    description: properties[key]?.["description"],
    anyOf: [
      ...all.map(({ type, summary }) => ({ const: type, description: summary })),
      { type: "string", minLength: 1 },
    ],
  };
  schema["allOf"] = all.map(({ type, options, isRequired }) => ({
    if: { properties: { [key]: { const: type } }, required: [key] },
    then: { properties: { config: options }, ...(isRequired && { required: ["config"] }) },
  }));
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
