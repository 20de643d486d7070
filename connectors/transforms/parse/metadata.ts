import type { Json, JsonObject, Metadata } from "sluice";
import { isObject } from "./json.ts";

/** Flat, as metadata must be: empty values are left out, nested ones become JSON text. */
export function picked(names: readonly string[], fields: JsonObject): Metadata {
  const metadata: Record<string, Metadata[string]> = {};
  for (const name of names) {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (value === undefined || value === null) continue;
    metadata[name] = flat(value);
  }
  return metadata;
}

/** What a store keeps beside an object for its owner. */
export function userMetadataOf(after: JsonObject): JsonObject {
  const value = after["userMetadata"];
  return isObject(value) ? value : {};
}

function flat(value: Exclude<Json, null>): Metadata[string] {
  if (typeof value !== "object") return value;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  return JSON.stringify(value);
}
