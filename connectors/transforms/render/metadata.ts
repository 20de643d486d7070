import { z, type Json, type Metadata } from "sluice";
import { canonicalText, isList } from "../../_shared/liquid/canonical.ts";
import { wellFormed, type Fields } from "./fields.ts";

/** A field's name, or names joined by dots. */
export const path = z
  .string()
  .max(500)
  .regex(/^[^.]+(\.[^.]+)*$/, "a field, or names joined by dots: author.name");

// Vector databases keep `$` for the operators of their filters.
const key = z.string().max(500).regex(/^[^$]/, "a name that does not begin with $");
const pathAsKey = z
  .string()
  .max(500)
  .regex(
    /^(?!\$)[^.]+(\.[^.]+)*$/,
    "a path that does not begin with $; rename it to keep such a field",
  );

export const metadataConfig = z.union([
  z.array(pathAsKey).max(50),
  z.record(key, path).refine((given) => Object.keys(given).length <= 50, "Name at most 50."),
]);

/** One entry of the metadata: under which key, from where. */
export interface Pick {
  readonly key: string;
  readonly path: readonly string[];
}

export function picksOf(given: z.output<typeof metadataConfig>): readonly Pick[] {
  const pairs = Array.isArray(given) ? given.map((one) => [one, one]) : Object.entries(given);
  return pairs.map(([name = "", from = ""]) => ({ key: name, path: from.split(".") }));
}

/** Flat, as vector databases store it: nulls and what is not there are left out. */
export function metadataOf(picks: readonly Pick[], fields: Fields): Metadata {
  return Object.fromEntries(
    picks.flatMap(({ key, path }) => {
      const value = flat(fields.at(path) ?? null);
      return value === null ? [] : [[key, value]];
    }),
  );
}

function flat(value: Json): Metadata[string] | null {
  if (value === null || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "string") return wellFormed(value);
  if (isList(value)) {
    const items = value.filter((item) => item !== null);
    if (items.every((item) => typeof item !== "object"))
      return items.map((item) => wellFormed(String(item)));
  }
  return wellFormed(canonicalText(value));
}
