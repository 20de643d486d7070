import type { z } from "zod";
import type { Path } from "./json-path.ts";
import { defOf, unwrapped } from "./schema-def.ts";

/** The schemas that may judge what stands at `path` of `value`: several where unions leave a choice. */
export function schemasAt(schema: z.ZodType, value: unknown, path: Path): readonly z.ZodType[] {
  const inner = unwrapped(schema);
  const { options } = defOf(inner);
  if (options)
    return options
      .filter((option) => mayBe(option, value))
      .flatMap((option) => schemasAt(option, value, path));
  const [key, ...rest] = path;
  if (key === undefined) return [schema];
  const { shape, element, valueType } = defOf(inner);
  const next = typeof key === "number" ? element : (shape?.[String(key)] ?? valueType);
  const part = (value as Readonly<Record<PropertyKey, unknown>> | null | undefined)?.[key];
  return next ? schemasAt(next, part, rest) : [];
}

/** The keys an object at `path` may have. */
export function keysAt(schema: z.ZodType, value: unknown, path: Path): readonly string[] {
  const objects = schemasAt(schema, value, path);
  return [...new Set(objects.flatMap((part) => Object.keys(defOf(unwrapped(part)).shape ?? {})))];
}

/** What the schema says about `path`, for the one who has to write it. */
export function describedAt(schema: z.ZodType, value: unknown, path: Path): string | undefined {
  return schemasAt(schema, value, path)
    .map((part) => part.description ?? unwrapped(part).description)
    .find((text) => text !== undefined);
}

/** False when a literal key, the discriminator, says that `value` is another option. */
function mayBe(option: z.ZodType, value: unknown): boolean {
  const { shape } = defOf(unwrapped(option));
  if (!shape || value === null || typeof value !== "object") return true;
  return Object.entries(shape).every(([key, inner]) => {
    const { values } = defOf(inner);
    const actual = (value as Readonly<Record<string, unknown>>)[key];
    return values === undefined || actual === undefined || values.includes(actual);
  });
}
