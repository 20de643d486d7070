import type { Json } from "sluice";

/** Turns one text of PostgreSQL into what `after` holds. */
export type Convert = (text: string) => Json;

/** A text that stays as it is: the rule, unless a table here says more. */
export const asText: Convert = (text) => text;

export const byteaOid = 17;

/** By oid: these are the same in every database. */
export const builtIn: ReadonlyMap<number, Convert> = new Map<number, Convert>([
  [16, (text) => text === "t"],
  [byteaOid, base64],
  [20, int8],
  [21, Number],
  [23, Number],
  [26, Number],
  [700, float],
  [701, float],
  [1114, timestamp],
  [1184, timestamptz],
]);

/** By name: types of pgvector, whose oids differ by database. */
export const extended: ReadonlyMap<string, Convert> = new Map([
  ["vector", numbers],
  ["halfvec", numbers],
]);

/** Outside ±(2^53 − 1) a JavaScript number would be another one. */
function int8(text: string): Json {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
}

/** JSON has neither NaN nor infinities, nor a negative zero. */
function float(text: string): Json {
  const number = Number(text);
  return Number.isFinite(number) ? number + 0 : text;
}

function base64(text: string): Json {
  return text.startsWith("\\x") ? Buffer.from(text.slice(2), "hex").toString("base64") : text;
}

/** `2024-02-29 12:34:56.123456` as RFC 3339. Years that RFC 3339 cannot say, and infinities, stay text. */
function timestamp(text: string): Json {
  return isDateTime(text) && !text.endsWith("C") ? `${text.slice(0, 10)}T${text.slice(11)}` : text;
}

/** The session's zone is UTC, so the offset is always `+00`. */
function timestamptz(text: string): Json {
  return isDateTime(text) && text.endsWith("+00")
    ? `${text.slice(0, 10)}T${text.slice(11, -3)}Z`
    : text;
}

/** A year of four digits: the day ends at the tenth character. */
function isDateTime(text: string): boolean {
  return text[4] === "-" && text[10] === " ";
}

function numbers(text: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every(Number.isFinite)) return value as number[];
  } catch {
    // Another type of that name.
  }
  return text;
}
