import type { z } from "zod";
import { valueAt, type Path } from "./json-path.ts";
import { defOf, descriptionOf, unwrapped } from "./schema-def.ts";

/** The schemas that may judge what stands at `path` of `value`: several where unions leave a choice. */
function schemasAt(schema: z.ZodType, value: unknown, path: Path): readonly z.ZodType[] {
  const [key, ...rest] = path;
  if (key === undefined) return [schema];
  const { options, shape, element, valueType } = defOf(unwrapped(schema));
  if (options) return choices(options, value).flatMap((option) => schemasAt(option, value, path));
  const inner = shape && Object.hasOwn(shape, key) ? shape[String(key)] : valueType;
  const next = typeof key === "number" ? element : inner;
  return next ? schemasAt(next, valueAt(value, [key]), rest) : [];
}

/** What may stand at `path`, unions taken apart; nothing where the schema does not say. */
export function leavesAt(schema: z.ZodType, value: unknown, path: Path): readonly z.ZodType[] {
  const apart = (part: z.ZodType): readonly z.ZodType[] => {
    const inner = unwrapped(part);
    return defOf(inner).options?.flatMap(apart) ?? [inner];
  };
  return schemasAt(schema, value, path).flatMap(apart);
}

/** The keys an object at `path` may have. */
export function keysAt(schema: z.ZodType, value: unknown, path: Path): readonly string[] {
  const there = valueAt(value, path);
  const keysOf = (part: z.ZodType): readonly string[] => {
    const { options, shape } = defOf(unwrapped(part));
    return options ? choices(options, there).flatMap(keysOf) : Object.keys(shape ?? {});
  };
  return [...new Set(schemasAt(schema, value, path).flatMap(keysOf))];
}

/** What the schema says about `path`, for the one who has to write it. */
export function describedAt(schema: z.ZodType, value: unknown, path: Path): string | undefined {
  return schemasAt(schema, value, path)
    .map(descriptionOf)
    .find((text) => text !== undefined);
}

/** The options of a union that a literal key, the discriminator, does not exclude; all where it excludes all. */
function choices(options: readonly z.ZodType[], value: unknown): readonly z.ZodType[] {
  if (value === null || typeof value !== "object") return options;
  const given = value as Readonly<Record<string, unknown>>;
  const fitting = options.filter((option) =>
    Object.entries(defOf(unwrapped(option)).shape ?? {}).every(([key, inner]) => {
      const { values } = defOf(inner);
      return values === undefined || given[key] === undefined || values.includes(given[key]);
    }),
  );
  return fitting.length > 0 ? fitting : options;
}
