import { z } from "zod";

/** One option of a connector, as people read it. */
export interface OptionRow {
  /** Dotted path in `config`; `[]` for items of a list. */
  readonly name: string;
  readonly type: string;
  /** As JSON. */
  readonly default?: string;
  readonly required: boolean;
  readonly description: string;
  readonly secret?: true;
  readonly path?: true;
  /** The variant it belongs to, e.g. `provider: "openai"`. */
  readonly when?: string;
}

/** The options of a connector, from its schema, in the order they were written. */
export function optionsOf(schema: z.ZodType): readonly OptionRow[] {
  const json = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", reused: "inline" });
  return rowsOf(json as Node, "");
}

interface Node {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
  readonly additionalProperties?: Node | boolean;
  readonly anyOf?: readonly Node[];
  readonly oneOf?: readonly Node[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly description?: string;
  readonly secret?: true;
  readonly path?: true;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly format?: string;
}

function rowsOf(node: Node, prefix: string, when?: string): readonly OptionRow[] {
  return Object.entries(node.properties ?? {}).flatMap(([key, value]) => {
    const name = prefix + key;
    const row: OptionRow = {
      name,
      type: typeOf(value),
      ...(value.default !== undefined && { default: JSON.stringify(value.default) }),
      required: node.required?.includes(key) === true && value.default === undefined,
      description: value.description ?? "",
      ...(value.secret && { secret: true }),
      ...(value.path && { path: true }),
      ...(when !== undefined && { when }),
    };
    return [row, ...insideOf(value, name, when)];
  });
}

function insideOf(node: Node, name: string, when?: string): readonly OptionRow[] {
  if (node.items) return insideOf(node.items, `${name}[]`, when);
  const variants = [...(node.anyOf ?? []), ...(node.oneOf ?? [])];
  if (variants.length === 0) return rowsOf(node, `${name}.`, when);
  return variants.flatMap((variant) => {
    const { properties = {} } = variant;
    const choice = Object.entries(properties).find(([, value]) => value.const !== undefined);
    if (!choice) return insideOf(variant, name, when);
    const [key, { const: value }] = choice;
    const only = `${key}: ${JSON.stringify(value)}`;
    const { [key]: _, ...rest } = properties;
    const chosen: OptionRow = {
      name: `${name}.${key}`,
      type: JSON.stringify(value),
      required: true,
      description: variant.description ?? "",
      ...(when !== undefined && { when }),
    };
    return [chosen, ...rowsOf({ ...variant, properties: rest }, `${name}.`, only)];
  });
}

function typeOf(node: Node): string {
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum) return node.enum.map((value) => JSON.stringify(value)).join(" | ");
  const variants = [...(node.anyOf ?? []), ...(node.oneOf ?? [])];
  if (variants.length > 0) return [...new Set(variants.map(typeOf))].join(" | ");
  if (Array.isArray(node.type)) return node.type.join(" | ");
  switch (node.type) {
    case "integer":
    case "number": {
      const { minimum = -Infinity, maximum = Infinity } = node;
      const least = Math.abs(minimum) < Number.MAX_SAFE_INTEGER ? ` ≥ ${minimum}` : "";
      const most = Math.abs(maximum) < Number.MAX_SAFE_INTEGER ? ` ≤ ${maximum}` : "";
      return `${node.type}${least}${most}`;
    }
    case "array":
      return `list of ${node.items ? typeOf(node.items) : "any"}`;
    case "object":
      return typeof node.additionalProperties === "object"
        ? `object of ${typeOf(node.additionalProperties)}`
        : "object";
    case "string":
      return node.format ? `string (${node.format})` : "string";
    default:
      return typeof node.type === "string" ? node.type : "any";
  }
}
