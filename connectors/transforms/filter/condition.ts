import { z, type Json, type JsonObject } from "sluice";

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const ordered = z.union([z.string(), z.number()]);

const test = z.strictObject({
  eq: scalar.optional().describe("Equal. `null` also means absent."),
  ne: scalar.optional().describe("Not equal."),
  gt: ordered.optional().describe("Greater than."),
  gte: ordered.optional().describe("Greater than or equal."),
  lt: ordered.optional().describe("Less than."),
  lte: ordered.optional().describe("Less than or equal."),
  in: z.array(scalar).min(1).optional().describe("Equal to one of these."),
  nin: z.array(scalar).min(1).optional().describe("Equal to none of these."),
  exists: z.boolean().optional().describe("Present and not null, or not."),
  prefix: z.string().optional().describe("Begins with this text."),
  suffix: z.string().optional().describe("Ends with this text."),
});

type Scalar = z.output<typeof scalar>;
type Test = z.output<typeof test>;

/** Dotted paths and what must hold at each; a bare value means `eq`. All must hold. */
export const conditions = z.record(
  z.string().min(1),
  z.union([scalar, test.refine((given) => Object.keys(given).length > 0, "Name a condition.")]),
);

export type Conditions = z.output<typeof conditions>;

/** Whether all conditions hold in `fields`. */
export function holds(wanted: Conditions, fields: JsonObject): boolean {
  return Object.entries(wanted).every(([path, condition]) => {
    const value = valueAt(fields, path);
    return passes(isTest(condition) ? condition : { eq: condition }, value);
  });
}

/** The first name of each path: the fields that the conditions read. */
export function fieldsOf(wanted: Conditions): readonly string[] {
  return Object.keys(wanted).map((path) => path.split(".", 1)[0] ?? path);
}

/** The paths whose absence makes the conditions fail. */
export function requiredBy(wanted: Conditions): readonly string[] {
  return Object.keys(wanted).filter((path) => !holds({ [path]: wanted[path] ?? null }, {}));
}

/** Whether `fields` hold a value at the path. */
export function has(fields: JsonObject, path: string): boolean {
  return valueAt(fields, path) !== null;
}

function isTest(condition: Conditions[string]): condition is Test {
  return condition !== null && typeof condition === "object";
}

function valueAt(fields: JsonObject, path: string): Json {
  let value: Json = fields;
  for (const name of path.split(".")) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, name)) return null;
    value = (value as JsonObject)[name] ?? null;
  }
  return value;
}

// A list passes where one of its items does; the negations ask that none is equal.
function passes(condition: Test, value: Json): boolean {
  const values = Array.isArray(value) ? (value as readonly Json[]) : [value];
  const some = (holds: (item: Json) => boolean) => values.some(holds);
  const { eq, ne, gt, gte, lt, lte, nin, exists, prefix, suffix } = condition;
  return (
    (eq === undefined || some((item) => equal(item, eq))) &&
    (ne === undefined || !some((item) => equal(item, ne))) &&
    (gt === undefined || some((item) => compared(item, gt) > 0)) &&
    (gte === undefined || some((item) => compared(item, gte) >= 0)) &&
    (lt === undefined || some((item) => compared(item, lt) < 0)) &&
    (lte === undefined || some((item) => compared(item, lte) <= 0)) &&
    (condition.in?.some((wanted) => some((item) => equal(item, wanted))) ?? true) &&
    !nin?.some((wanted) => some((item) => equal(item, wanted))) &&
    (exists === undefined || exists === (value !== null)) &&
    (prefix === undefined || some((item) => typeof item === "string" && item.startsWith(prefix))) &&
    (suffix === undefined || some((item) => typeof item === "string" && item.endsWith(suffix)))
  );
}

function equal(value: Json, wanted: Scalar): boolean {
  return likened(value, wanted) === wanted;
}

/** Negative, zero or positive; NaN where the two cannot be compared, which passes nothing. */
function compared(value: Json, wanted: string | number): number {
  const alike = likened(value, wanted);
  if (typeof alike === "number" && typeof wanted === "number") return alike - wanted;
  if (typeof alike !== "string" || typeof wanted !== "string") return NaN;
  if (alike === wanted) return 0;
  return alike < wanted ? -1 : 1;
}

/** Databases send big and exact numbers as texts: those count as numbers where a number is asked for. */
function likened(value: Json, wanted: Scalar): Json {
  const isNumeric = typeof value === "string" && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value);
  return isNumeric && typeof wanted === "number" ? Number(value) : value;
}
