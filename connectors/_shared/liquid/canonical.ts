import type { Json } from "sluice";

const maxDepth = 100;
const maxValues = 100_000;

/** A value that nests or holds too much to be looked through. */
export class TooMuch extends Error {
  override readonly name = "TooMuch";
}

/**
 * A copy whose objects list their keys in order, whatever order they came in, have nothing of
 * JavaScript's own, and print as JSON: an object that was read from a text as that text. Throws `TooMuch`.
 */
export function canonical(value: Json, { printsAs }: { readonly printsAs?: string } = {}): Json {
  let values = 0;
  const copy = (part: Json, depth: number): Json => {
    values += 1;
    if (values > maxValues) throw new TooMuch(`a value holds more than ${maxValues} values`);
    if (part === null || typeof part !== "object") return part;
    if (depth > maxDepth) throw new TooMuch(`a value nests deeper than ${maxDepth} levels`);
    if (isList(part)) return part.map((item) => copy(item, depth + 1));
    const object = Object.create(printable) as Record<string, Json>;
    for (const key of Object.keys(part).toSorted())
      object[key] = copy(part[key] ?? null, depth + 1);
    return object;
  };
  const copied = copy(value, 1);
  if (printsAs === undefined || copied === null || typeof copied !== "object") return copied;
  return Object.defineProperty(copied, Symbol.toPrimitive, { value: () => printsAs });
}

/** The one JSON text of a value, whatever order its keys came in. */
export function canonicalText(value: Json): string {
  return JSON.stringify(canonical(value));
}

/** Without a prototype of its own even `__proto__` is a key like any other; a symbol is never one. */
const printable: object = Object.create(null, {
  [Symbol.toPrimitive]: {
    value(this: object) {
      return JSON.stringify(this);
    },
  },
}) as object;

/** `Array.isArray`, which does not narrow readonly lists. */
export function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
