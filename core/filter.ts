import { z } from "zod";
import { ConfigError } from "./errors.ts";
import { isRecordChange, isUpsert, type JsonObject, type SluiceEvent } from "./event.ts";

const attributes = (does: string) =>
  z
    .record(z.string().regex(/^[a-z0-9]{1,20}$/), z.string().min(1))
    .refine((conditions) => Object.keys(conditions).length > 0, "needs an attribute")
    .optional()
    .describe(`Attribute → text: every named attribute ${does}.`);

const dialects = {
  exact: attributes("equals its text"),
  prefix: attributes("starts with its text"),
  suffix: attributes("ends with its text"),
  get all() {
    return z.array(filterSchema).min(1).optional().describe("Every one of these filters passes.");
  },
  get any() {
    return z
      .array(filterSchema)
      .min(1)
      .optional()
      .describe("At least one of these filters passes.");
  },
  get not() {
    return filterSchema.optional().describe("This filter does not pass.");
  },
};

/** A filter of the CloudEvents Subscriptions specification: exactly one dialect an object. */
export const filterSchema: z.ZodType<JsonObject, JsonObject> = z
  .strictObject(dialects)
  .refine(
    (filter) => Object.keys(filter).length === 1,
    "needs exactly one of exact, prefix, suffix, all, any, not",
  )
  .meta({
    id: "filter",
    minProperties: 1,
    maxProperties: 1,
    description: "Which events a consumer takes, by their attributes.",
  }) as unknown as z.ZodType<JsonObject, JsonObject>; // recursive: inferred through the getters it is circular

/** Checks a filter as it stands in a config. Throws `ConfigError` `filter.invalid`. */
export function parseFilter(value: unknown): JsonObject {
  const parsed = filterSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ConfigError(`filter: ${z.prettifyError(parsed.error)}`, {
    code: "filter.invalid",
    fix: 'Write one dialect an object, e.g. { "prefix": { "subject": "docs/" } }.',
  });
}

/**
 * True when the consumer takes the event; without a filter it takes all. `filter` was checked by
 * `parseFilter`, or by loading the config it stands in.
 *
 * What is taken of a record must not depend on which of its changes is looked at, or a delete would
 * miss the consumer that has the record. So of a record change only `source`, `subject`, extensions
 * and, for an upsert, `type` decide; of a clear, which is about every subject, only `source`. Any
 * other condition neither passes nor fails.
 */
export function matchesFilter(filter: JsonObject | undefined, event: SluiceEvent): boolean {
  return filter === undefined || judge(filter, event) !== false;
}

type Conditions = Readonly<Record<string, string>>;
interface Dialects {
  readonly exact?: Conditions;
  readonly prefix?: Conditions;
  readonly suffix?: Conditions;
  readonly all?: readonly Dialects[];
  readonly any?: readonly Dialects[];
  readonly not?: Dialects;
}

/** `undefined`: undecided (Kleene's logic, so that `not` of undecided stays undecided). */
type Verdict = boolean | undefined;

function judge(filter: Dialects, event: SluiceEvent): Verdict {
  const { exact, prefix, suffix, all, any, not } = filter;
  if (exact) return compare(exact, event, (value, text) => value === text);
  if (prefix) return compare(prefix, event, (value, text) => value.startsWith(text));
  if (suffix) return compare(suffix, event, (value, text) => value.endsWith(text));
  if (all) return every(all.map((inner) => judge(inner, event)));
  if (any) return negate(every(any.map((inner) => negate(judge(inner, event)))));
  return not ? negate(judge(not, event)) : true;
}

function compare(
  conditions: Conditions,
  event: SluiceEvent,
  fits: (value: string, text: string) => boolean,
): Verdict {
  return every(
    Object.entries(conditions).map(([attribute, text]) => {
      if (!decides(attribute, event)) return undefined;
      const value = event[attribute];
      const isPlain = ["string", "number", "boolean"].includes(typeof value);
      return isPlain && fits(`${value as string | number | boolean}`, text);
    }),
  );
}

function every(verdicts: readonly Verdict[]): Verdict {
  if (verdicts.includes(false)) return false;
  return verdicts.includes(undefined) ? undefined : true;
}

function negate(verdict: Verdict): Verdict {
  return verdict === undefined ? undefined : !verdict;
}

/** Differ from one change of a record to the next. */
const ofTheChange = new Set([
  "id",
  "time",
  "sequence",
  "traceparent",
  "tracestate",
  "datacontenttype",
  "dataschema",
  "dataref",
]);

function decides(attribute: string, event: SluiceEvent): boolean {
  if (!isRecordChange(event)) return true;
  if (attribute === "source") return true;
  if (event.type === "dev.sluice.collection.cleared") return false;
  if (attribute === "type") return isUpsert(event);
  if (ofTheChange.has(attribute)) return false;
  // A delete may come without an extension that its record's upserts carry.
  return isUpsert(event) || event[attribute] !== undefined;
}
