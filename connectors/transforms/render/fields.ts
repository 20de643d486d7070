import type { Json, JsonObject } from "sluice";
import { jsonIn } from "../../_shared/liquid/json-text.ts";

/** The fields of a record. JSON texts in them are opened at most once. */
export interface Fields {
  /** The value at a path, `undefined` where there is none. Below a null there are nulls. */
  readonly at: (path: readonly string[]) => Json | undefined;
  /** What a text holds if it is JSON of an object, a list or null. */
  readonly opened: (text: string) => Json | undefined;
}

export function fieldsOf(after: JsonObject): Fields {
  let known: Map<string, Json | undefined> | undefined;
  const opened = (text: string) => {
    known ??= new Map();
    if (!known.has(text)) known.set(text, jsonIn(text));
    return known.get(text);
  };
  const at = (path: readonly string[]) => {
    let value: Json | undefined = after;
    for (const name of path) {
      if (typeof value === "string") value = opened(value);
      if (value === null) return null;
      if (typeof value !== "object" || !Object.hasOwn(value, name)) return undefined;
      value = (value as JsonObject)[name];
    }
    return value;
  };
  return { at, opened };
}

/** Well-formed, as texts are along the whole chain: templates and JSON can make what no event held. */
export function wellFormed(text: string): string {
  return text.isWellFormed() && !text.includes("\0")
    ? text
    : text.toWellFormed().replaceAll("\0", "\u{FFFD}");
}
