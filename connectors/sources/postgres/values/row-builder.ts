import type { Json, JsonObject } from "sluice";
import type { Tuple } from "../wire/tuple.ts";
import type { Types } from "./types.ts";

/** What a row became. */
export interface BuiltRow {
  /** By column name, in the order of the columns; without those that were not sent, or are too long. */
  readonly after: JsonObject;
  /** Columns whose values are longer than `maxValueBytes`. */
  readonly oversized?: readonly string[];
}

/**
 * Makes `after` of rows whose values come in the order of `columns`. One builder a relation: its
 * rows then share a shape, and the same row gives the same object whether stream or query brought it.
 */
export function rowBuilder(
  columns: readonly { readonly name: string; readonly type: number }[],
  types: Types,
  limits: { readonly maxValueBytes: number },
): (row: Tuple) => BuiltRow {
  const set = columns.some(({ name }) => name === "__proto__") ? define : assign;
  const readers = columns.map(({ name, type }) => ({
    name,
    convert: types.toJson(type),
    isTooLong: types.isBinary(type)
      ? (text: string) => (text.length - 2) / 2 > limits.maxValueBytes
      : (text: string) => isLonger(text, limits.maxValueBytes),
  }));
  return (row) => {
    const after: Record<string, Json> = {};
    let oversized: string[] | undefined;
    let i = 0;
    for (const { name, convert, isTooLong } of readers) {
      const text = row[i++];
      if (text === undefined) continue;
      if (text === null) set(after, name, null);
      else if (isTooLong(text)) (oversized ??= []).push(name);
      else set(after, name, convert(text));
    }
    return oversized === undefined ? { after } : { after, oversized };
  };
}

/** In UTF-8, where a unit of UTF-16 takes one to three bytes. */
function isLonger(text: string, maxBytes: number): boolean {
  if (3 * text.length <= maxBytes) return false;
  return text.length > maxBytes || Buffer.byteLength(text) > maxBytes;
}

function assign(object: Record<string, Json>, name: string, value: Json): void {
  object[name] = value;
}

/** Assigned, `__proto__` would be the prototype and no column. */
function define(object: Record<string, Json>, name: string, value: Json): void {
  Object.defineProperty(object, name, {
    value,
    configurable: true,
    enumerable: true,
    writable: true,
  });
}
