/* oxlint-disable unicorn/no-thenable -- "then" is a keyword of JSON Schema. */
import { beforeAll, describe, expect, it } from "vitest";
import { catalog } from "./catalog.test.data.ts";
import { toJsonSchema } from "./json-schema.ts";

type Schema = { readonly [key: string]: unknown } & { readonly $defs: Record<string, unknown> };
let schema: Schema;
beforeAll(async () => void (schema = (await toJsonSchema(catalog)) as Schema));

describe("the JSON Schema of config files", () => {
  it("takes one connector or a pipeline of them", () => {
    expect(schema).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      if: {
        anyOf: [{ required: ["source"] }, { required: ["transform"] }, { required: ["sink"] }],
      },
      then: { $ref: "#/$defs/connector" },
      else: { $ref: "#/$defs/pipeline" },
    });
    expect(schema.$defs["pipeline"]).toMatchObject({
      additionalProperties: false,
      required: ["connectors"],
      properties: { connectors: { items: { $ref: "#/$defs/connector" } } },
    });
  });

  it("names the built-ins and lets a package's name through", () => {
    expect(schema.$defs["sink"]).toMatchObject({
      properties: {
        sink: {
          anyOf: [
            { const: "index", description: "A vector index." },
            { const: "print", description: "Prints events." },
            { type: "string" },
          ],
        },
      },
    });
  });

  it("binds a name to its options, which are required where one of them is", () => {
    expect(schema.$defs["sink"]).toMatchObject({
      allOf: [
        {
          if: { properties: { sink: { const: "index" } }, required: ["sink"] },
          then: {
            properties: { config: { $ref: "#/$defs/sink.index" } },
            required: ["config"],
          },
        },
        { then: { properties: { config: { $ref: "#/$defs/sink.print" } } } },
      ],
    });
    expect(schema.$defs["stage"]).toMatchObject({
      additionalProperties: false,
      allOf: [
        { then: { properties: { config: { $ref: "#/$defs/transform.parse" } } } },
        { then: { properties: { config: { $ref: "#/$defs/transform.split" } } } },
      ],
    });
    expect(schema.$defs["source.folder"]).toMatchObject({
      additionalProperties: false,
      required: ["path"],
      properties: {
        everyMs: { default: 1000 },
        mode: { default: "watch" },
      },
    });
  });

  it("lets a variable stand for a number, a truth, a choice, and where a text has limits", () => {
    const variable = { type: "string", pattern: "^\\$\\{[^}]*\\}$" };
    expect(schema.$defs["pipeline"]).toMatchObject({
      properties: {
        topics: {
          additionalProperties: {
            properties: { optional: { anyOf: [{ type: "boolean" }, variable] } },
          },
        },
      },
    });
    expect(schema.$defs["source.folder"]).toMatchObject({
      properties: {
        everyMs: { anyOf: [{ type: "integer", minimum: 10, maximum: 60_000 }, variable] },
        mode: { type: "string", anyOf: [{ enum: ["poll", "watch"] }, { pattern: "\\$\\{" }] },
        password: { type: "string", anyOf: [{ minLength: 8 }, { pattern: "\\$\\{" }] },
      },
    });
  });

  it("describes every key that a file may have", () => {
    const silent: string[] = [];
    for (const [name, definition] of Object.entries(schema.$defs)) {
      const { properties = {} } = definition as { properties?: Record<string, object> };
      for (const [key, value] of Object.entries(properties))
        if (!("description" in value) && !("const" in value) && !("$ref" in value))
          silent.push(`${name}.${key}`);
    }
    expect(silent).toEqual([]);
  });

  it("refers only to what it defines", () => {
    const refs = [...JSON.stringify(schema).matchAll(/"\$ref":"#\/\$defs\/([^"]+)"/g)].map(
      ([, name]) => name,
    );
    expect(refs.length).toBeGreaterThan(10);
    expect(refs.filter((name) => !Object.hasOwn(schema.$defs, name ?? ""))).toEqual([]);
  });
});
