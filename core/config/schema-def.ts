import type { z } from "zod";

/** The parts of a zod schema's definition that lead to inner schemas; which are there depends on `type`. */
export interface SchemaDef {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly catchall?: z.ZodType;
  readonly valueType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly items?: readonly z.ZodType[];
  readonly options?: readonly z.ZodType[];
  readonly left?: z.ZodType;
  readonly right?: z.ZodType;
  readonly in?: z.ZodType;
  readonly out?: z.ZodType;
  readonly innerType?: z.ZodType;
  readonly getter?: () => z.ZodType;
  /** Of a literal. */
  readonly values?: readonly unknown[];
  /** Of an enumeration. */
  readonly entries?: Readonly<Record<string, string | number>>;
  readonly defaultValue?: unknown;
}

/** A schema's definition. zod keeps it public (`_zod.def`) for tools like this one. */
export function defOf(schema: z.ZodType): SchemaDef {
  return (schema as unknown as { readonly _zod: { readonly def: SchemaDef } })._zod.def;
}

/** The schema without optional, default and the like; of a transformation, what goes in. */
export function unwrapped(schema: z.ZodType): z.ZodType {
  const { innerType, in: input } = defOf(schema);
  const inner = innerType ?? input;
  return inner ? unwrapped(inner) : schema;
}

/** What a schema says about itself, through optional, default and the like. */
export function descriptionOf(schema: z.ZodType): string | undefined {
  const { innerType, in: input } = defOf(schema);
  const inner = innerType ?? input;
  return schema.description ?? (inner && descriptionOf(inner));
}
