import type { Json, JsonObject, Metadata } from "../../event.ts";

/** Metadata as one keeps them that changes them. */
export function changed(metadata: Metadata, broken: string | undefined): Metadata {
  return Object.fromEntries(
    Object.entries(metadata)
      .filter(([key]) => broken !== "drops the keys of vector sync" || !key.startsWith("_"))
      .map(([key, value]) => [
        broken === "folds the first letter of keys"
          ? key.charAt(0).toLowerCase() + key.slice(1)
          : key,
        changedValue(value, broken),
      ]),
  );
}

type Value = Metadata[string];

function changedValue(value: Value, broken: string | undefined): Value {
  if (typeof value === "number") return numberOf(value, broken);
  if (typeof value === "string") return textOf(value, broken);
  if (broken === "unwraps lists of one" && Array.isArray(value) && value.length === 1)
    return value[0] as string; // metadata has lists of texts only
  return value;
}

function numberOf(value: number, broken: string | undefined): Value {
  if (broken === "makes texts of numbers") return String(value);
  if (broken === "keeps integers of 32 bits" && Number.isInteger(value)) return value | 0;
  return broken === "keeps floats of 32 bits" ? Math.fround(value) : value;
}

function textOf(value: string, broken: string | undefined): Value {
  if (broken === "trims texts") return value.trim();
  if (broken === "normalises letters") return value.normalize();
  const isNumber = value.trim() !== "" && Number.isFinite(Number(value));
  return broken === "makes numbers of texts" && isNumber ? Number(value) : value;
}

/** Whether a filter lets metadata be found. Its language: `{ field: text }`, and `$and`. Nothing for one that it does not have. */
export function lets(
  filter: JsonObject,
  metadata: Metadata,
  broken: string | undefined,
): boolean | undefined {
  if (broken === "ignores filters" || broken === "takes filters that it does not have") return true;
  const verdicts = Object.entries(filter).map(([key, value]) => {
    if (key === "$and" && Array.isArray(value)) {
      const parts = value.map((one) => lets(one as JsonObject, metadata, broken)); // a language of objects
      if (parts.includes(undefined)) return undefined;
      return broken === "finds by either of two filters"
        ? parts.includes(true)
        : !parts.includes(false);
    }
    if (!key.startsWith("$") && isText(value)) return metadata[key] === value;
    return broken === "leaves out what it does not know of a filter" ? true : undefined;
  });
  return verdicts.includes(undefined) ? undefined : !verdicts.includes(false);
}

function isText(value: Json): value is string {
  return typeof value === "string";
}
