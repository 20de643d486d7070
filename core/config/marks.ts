import type { z } from "zod";
import { defOf } from "./schema-def.ts";

/**
 * What a schema says about a value besides its type: `.meta({ secret: true })`, never to be shown;
 * `.meta({ path: true })`, a path relative to the config file; `.meta({ embedder: true })` and
 * `.meta({ store: true })`, a `{ use, config }` that names an extension.
 */
export type Mark = "secret" | "path" | "embedder" | "store";

/** The config schemas of extensions that were loaded, by file: what is secret in there, only they know. */
const extensionSchemas = new Map<string, z.ZodType>();

export function rememberExtension(file: string, schema: z.ZodType): void {
  extensionSchemas.set(file, schema);
}

/** A copy of `value` with the secrets its schema marks replaced by `***`. Takes a config before or after parsing. */
export function redact(schema: z.ZodType, value: unknown): unknown {
  return mapMarked(schema, value, "secret", () => "***");
}

/** The texts marked secret in `value`. */
export function secretsIn(schema: z.ZodType, value: unknown): readonly string[] {
  const secrets: string[] = [];
  const collect = (part: unknown): void => {
    if (typeof part === "string") secrets.push(part);
    else if (part !== null && typeof part === "object") Object.values(part).forEach(collect);
  };
  mapMarked(schema, value, "secret", (part) => (collect(part), part));
  return secrets;
}

/** A copy of `value` with every part that carries the mark, or one of them, replaced. */
export function mapMarked<M extends Mark>(
  schema: z.ZodType,
  value: unknown,
  marks: M | readonly M[],
  change: (part: unknown, mark: M) => unknown,
): unknown {
  if (value === undefined) return undefined;
  const meta = schema.meta();
  const mark = [marks].flat().find((one) => meta?.[one] === true);
  if (mark !== undefined) return change(value, mark as M); // of `marks`
  const def = defOf(schema);
  const into = (inner: z.ZodType, part: unknown) => mapMarked(inner, part, marks, change);
  if (meta?.["embedder"] === true || meta?.["store"] === true) {
    const { use } = (value ?? {}) as { readonly use?: unknown };
    const own = typeof use === "string" ? extensionSchemas.get(use) : undefined;
    return mapEntries(value, (key, part) => (key === "config" && own ? into(own, part) : part));
  }
  switch (def.type) {
    case "object":
      return mapEntries(value, (key, part) => {
        const inner = def.shape && Object.hasOwn(def.shape, key) ? def.shape[key] : def.catchall;
        return inner ? into(inner, part) : part;
      });
    case "record":
      return mapEntries(value, (_, part) => (def.valueType ? into(def.valueType, part) : part));
    case "array":
      return Array.isArray(value) && def.element
        ? value.map((part) => (def.element ? into(def.element, part) : part))
        : value;
    case "tuple":
      return Array.isArray(value)
        ? value.map((part, at) => (def.items?.[at] ? into(def.items[at], part) : part))
        : value;
    case "union":
      return fitting(def.options ?? [], value).reduce<unknown>(
        (part, option) => into(option, part),
        value,
      );
    case "intersection":
      return [def.left, def.right].reduce<unknown>(
        (part, side) => (side ? into(side, part) : part),
        value,
      );
    case "pipe":
      return [def.in, def.out].reduce<unknown>(
        (part, side) => (side ? into(side, part) : part),
        value,
      );
    case "lazy":
      return def.getter ? into(def.getter(), value) : value;
    default:
      return def.innerType ? into(def.innerType, value) : value;
  }
}

function mapEntries(value: unknown, change: (key: string, part: unknown) => unknown): unknown {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, change(key, part)] as const),
  );
}

/** The options of a union that a value may be; all of them while it is wrong, so that no secret slips through. */
function fitting(options: readonly z.ZodType[], value: unknown): readonly z.ZodType[] {
  const found = options.filter((option) => option.safeParse(value).success);
  return found.length > 0 ? found : options;
}
