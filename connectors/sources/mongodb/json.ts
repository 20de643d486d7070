import type { Json, JsonObject } from "sluice";
import { endOfName, fields, lengthOf, nameAt, textAt, type, type Value } from "./bson.ts";
import type { Shape } from "./projection.ts";
import { scalars, type Dialect, type Scalar } from "./scalars.ts";

/** Writes a document, or what `shape` keeps of it. Same document, same text. */
export function toJson(document: Value, dialect: Dialect, shape?: Shape): JsonObject {
  return object(document.bytes, document.at, scalars[dialect], shape);
}

/** Writes one value; undefined where the dialect leaves such a field out. */
export function valueToJson({ bytes, type: kind, at }: Value, dialect: Dialect): Json | undefined {
  return value(kind, bytes, at, scalars[dialect]);
}

/**
 * Canonical Extended JSON of a key, written straight from its bytes: what differs in type, or in the order of
 * fields, differs in text. `1`, `"1"`, `NumberLong(1)` and `1.0` are four keys.
 */
export function keyText(key: Value): string {
  const { bytes, type: kind, at } = key;
  switch (kind) {
    case type.objectId: // by far the most frequent
      return `{"$oid":"${bytes.toString("hex", at, at + 12)}"}`;
    case type.string:
      return JSON.stringify(textAt(bytes, at));
    case type.array:
      return `[${[...fields(key)].map(([, item]) => keyText(item)).join()}]`;
    case type.object: {
      const parts = [...fields(key)].map(
        ([name, one]) => `${JSON.stringify(name)}:${keyText(one)}`,
      );
      return `{${parts.join()}}`;
    }
    default:
      return JSON.stringify(value(kind, bytes, at, scalars.canonical));
  }
}

function object(bytes: Buffer, start: number, scalar: Scalar, shape?: Shape): JsonObject {
  const result: Record<string, Json> = {};
  let at = start + 4;
  for (let kind = bytes[at] ?? 0; kind !== 0; kind = bytes[at] ?? 0) {
    const end = endOfName(bytes, at + 1);
    const name = nameAt(bytes, at + 1, end);
    at = end + 1;
    const inside = shape?.inside(name);
    if (inside !== false) {
      const json = value(kind, bytes, at, scalar, inside);
      if (json === undefined) {
        // Left out: the dialect does not know it, or nothing of it is wanted.
      } else if (name === "__proto__") {
        const own = { value: json, enumerable: true, writable: true, configurable: true };
        Object.defineProperty(result, name, own);
      } else result[name] = json;
    }
    at += lengthOf(kind, bytes, at);
  }
  return result;
}

function value(
  kind: number,
  bytes: Buffer,
  at: number,
  scalar: Scalar,
  shape?: Shape,
): Json | undefined {
  if (shape?.isInclusive && kind !== type.object && kind !== type.array) return undefined;
  switch (kind) {
    case type.string:
      return textAt(bytes, at);
    case type.object:
      return object(bytes, at, scalar, shape);
    case type.array:
      return array(bytes, at, scalar, shape);
    case type.boolean:
      return bytes[at] === 1;
    case type.null:
      return null;
    case type.scopedCode: {
      const scope = at + 4 + lengthOf(type.code, bytes, at + 4);
      return { $code: textAt(bytes, at + 4), $scope: object(bytes, scope, scalar) };
    }
    default:
      return scalar(kind, bytes, at);
  }
}

/** A shape goes through to the documents of an array; what is none has no fields it could name. */
function array(bytes: Buffer, start: number, scalar: Scalar, shape?: Shape): Json[] {
  const result: Json[] = [];
  let at = start + 4;
  for (let kind = bytes[at] ?? 0; kind !== 0; kind = bytes[at] ?? 0) {
    at = endOfName(bytes, at + 1) + 1;
    const hasFields = kind === type.object || kind === type.array;
    if (hasFields || !shape?.isInclusive)
      result.push(value(kind, bytes, at, scalar, hasFields ? shape : undefined) ?? null);
    at += lengthOf(kind, bytes, at);
  }
  return result;
}
