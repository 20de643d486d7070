import { PoisonError, type Json, type Metadata } from "sluice";
import { metadataHashOf } from "./content-hash.ts";

/** Room kept for `_h`, `_v` and `_t` where metadata is trimmed, fixed so that a longer version never changes what goes. */
const laterBytes = 1_024;
const emptyTextBytes = 2;
const reserved = new Set(["_doc", "_h", "_v", "_t", "_m", "_src", "_subject", "_pk", "text"]);

export interface MetadataRules {
  /** A document whose metadata does not fit is refused instead of trimmed. */
  readonly strict: boolean;
  /** Fields to drop, in this order, before anything else is. */
  readonly dropFirst: readonly string[];
  /** Whether the chunk's text is stored beside its vector. */
  readonly text: boolean;
}

export const defaultRules: MetadataRules = { strict: false, dropFirst: [], text: true };

export interface StoredMetadata {
  /** All but `_h`, `_v` and `_t`, which are the writer's. */
  readonly metadata: Metadata;
  readonly metadataHash: string;
  /** Fields that were dropped or cut. */
  readonly dropped: number;
}

interface Parts {
  readonly ours: { readonly [key: string]: string };
  readonly text: string;
  readonly fields: { readonly [key: string]: unknown };
}

interface Place {
  /** Of a vector's metadata, all told. */
  readonly maxBytes: number;
  /** What `_v` will be. */
  readonly version: string;
  /** What `_t` will be. */
  readonly time: string;
  readonly rules: MetadataRules;
}

/**
 * What is stored beside a vector: ours (`_doc`, `_src`, `_subject`, `_m`), the chunk's `text` and the
 * user's fields, flat, in at most `maxBytes`. Where that is too little, the fields of `dropFirst` go,
 * then `text` is cut, then the largest fields go; ours never do. The same input always gives the same
 * result. Strict: nothing goes, a `PoisonError` says why.
 */
export function toStored(
  { ours, text, fields: given }: Parts,
  { maxBytes, version, time, rules }: Place,
): StoredMetadata {
  const { fields, unfit } = flatten(given);
  const whole: Metadata = { ...fields, ...ours, ...(rules.text && { text }) };
  if (rules.strict) checkStrict(whole, { unfit, version, time, maxBytes });
  const most = maxBytes - laterBytes;
  const { metadata, dropped } =
    rules.strict || bytesOf(whole) <= most
      ? { metadata: whole, dropped: 0 }
      : trimmed(whole, { fields, most, rules });
  return { metadata, metadataHash: metadataHashOf(metadata), dropped: unfit.length + dropped };
}

function trimmed(
  whole: Metadata,
  place: { readonly fields: Metadata; readonly most: number; readonly rules: MetadataRules },
): { readonly metadata: Metadata; readonly dropped: number } {
  const { fields, most, rules } = place;
  let metadata = whole;
  let dropped = 0;
  const dropUntilItFits = (keys: readonly string[]) => {
    for (const key of keys) {
      if (bytesOf(metadata) <= most) return;
      if (!Object.hasOwn(fields, key) || !Object.hasOwn(metadata, key)) continue;
      const { [key]: _, ...rest } = metadata;
      metadata = rest;
      dropped += 1;
    }
  };
  dropUntilItFits(rules.dropFirst);
  const { text: full = "" } = metadata;
  if (typeof full === "string" && rules.text) metadata = { ...metadata, text: "" };
  dropUntilItFits(largestFirst(fields));
  const bytes = bytesOf(metadata);
  if (bytes > most) throw tooLarge(bytes, most, "Shorten the record's key.");
  if (typeof full !== "string" || !rules.text) return { metadata, dropped };
  const text = cut(full, most - bytes + emptyTextBytes);
  return {
    metadata: { ...metadata, text },
    dropped: text.length < full.length ? dropped + 1 : dropped,
  };
}

function checkStrict(
  metadata: Metadata,
  place: Pick<Place, "version" | "time" | "maxBytes"> & { readonly unfit: readonly string[] },
): void {
  const { unfit, version, time, maxBytes } = place;
  const [first] = unfit;
  if (first !== undefined)
    throw new PoisonError(`vectors: no index holds the metadata field ${JSON.stringify(first)}.`, {
      code: "vectors.metadata-unfit",
      fix: "Leave it out, make it a text, number, boolean or list of texts, or set metadata.strict to false.",
    });
  const bytes = bytesOf({ ...metadata, _h: "0".repeat(16), _v: version, _t: time });
  if (bytes <= maxBytes) return;
  throw tooLarge(bytes, maxBytes, "Shorten the record's fields, or set metadata.strict to false.");
}

function tooLarge(bytes: number, most: number, fix: string): PoisonError {
  return new PoisonError(`vectors: the metadata takes ${bytes} bytes, more than ${most}.`, {
    code: "vectors.metadata-too-large",
    fix,
  });
}

/** Nested objects become dotted keys; what no vector database holds is named in `unfit`. */
function flatten(fields: { readonly [key: string]: unknown }) {
  const flat: Record<string, Json> = {};
  const unfit: string[] = [];
  const take = (key: string, value: unknown) => {
    if (reserved.has(key) || key === "" || key.startsWith("$")) unfit.push(key);
    else if (isScalar(value)) set(flat, key, value);
    else if (Array.isArray(value)) {
      const texts = value.filter(isScalar).map(String);
      if (texts.length < value.length) unfit.push(key);
      set(flat, key, texts);
    } else if (isObject(value)) takeAll(`${key}.`, value);
    else unfit.push(key);
  };
  // Sorted, so that of two fields with one dotted name the same one always wins.
  const takeAll = (prefix: string, object: { readonly [key: string]: unknown }) => {
    for (const key of Object.keys(object).toSorted()) take(prefix + key, object[key]);
  };
  takeAll("", fields);
  return { fields: flat as Metadata, unfit };
}

function isScalar(value: unknown): boolean {
  return typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null;
}

// Not an assignment: `__proto__` may be a column's name.
function set(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

/** The longest beginning that is at most `most` bytes of JSON and cuts no character in two. */
function cut(text: string, most: number): string {
  if (bytesOf(text) <= most) return text;
  let fits = 0;
  let tooLong = text.length;
  while (tooLong - fits > 1) {
    const length = Math.floor((fits + tooLong) / 2);
    if (bytesOf(text.slice(0, length)) <= most) fits = length;
    else tooLong = length;
  }
  const kept = text.slice(0, fits);
  return kept.isWellFormed() ? kept : kept.slice(0, -1);
}

function largestFirst(fields: Metadata): readonly string[] {
  const size = (key: string) => bytesOf(fields[key] ?? null);
  return Object.keys(fields)
    .toSorted()
    .toSorted((a, b) => size(b) - size(a));
}

function bytesOf(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value));
}
