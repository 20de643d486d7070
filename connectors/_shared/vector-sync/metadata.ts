import { PoisonError, type Json, type Metadata } from "sluice";
import { metadataHashOf } from "./content-hash.ts";

/** Room kept for `_h` and `_v`, fixed so that a longer version never changes what is trimmed. */
const laterBytes = 1_024;
const emptyTextBytes = 2;
const reserved = new Set(["_doc", "_h", "_v", "_m", "_src", "_subject", "text"]);

export interface TrimmedMetadata {
  /** All but `_v`, which is the writer's. */
  readonly metadata: Metadata;
  readonly metadataHash: string;
  /** Encoded size, `_v` included. */
  readonly bytes: number;
  /** Fields that were dropped or cut. */
  readonly dropped: number;
}

/**
 * What is stored beside a vector: ours (`_doc`, `_src`, `_subject`, `_m`, `_h`), the chunk's `text`
 * and the user's fields, flat, in at most `maxBytes`: `text` is cut first; where that is not enough
 * the largest fields go; ours never do. The same input always gives the same result.
 */
export function trimMetadata(
  parts: {
    readonly ours: { readonly [key: string]: string };
    readonly text: string;
    readonly fields: { readonly [key: string]: unknown };
  },
  maxBytes: number,
): TrimmedMetadata {
  const { fields, dropped: unfit } = flatten(parts.fields);
  const most = maxBytes - laterBytes;
  let dropped = unfit;
  let base: Metadata = { ...fields, ...parts.ours, text: "" };
  let baseBytes = bytesOf(base);
  for (const key of baseBytes > most ? largestFirst(fields) : []) {
    const { [key]: _, ...rest } = base;
    base = rest;
    baseBytes = bytesOf(base);
    dropped += 1;
    if (baseBytes <= most) break;
  }
  if (baseBytes > most)
    throw new PoisonError(
      `vectors: the metadata that every vector needs takes ${baseBytes} bytes, more than ${most}.`,
      { code: "vectors.metadata-too-large", fix: "Shorten the record's key." },
    );
  const text = cut(parts.text, most - baseBytes + emptyTextBytes);
  if (text.length < parts.text.length) dropped += 1;
  const metadata: Metadata = { ...base, text };
  const metadataHash = metadataHashOf(metadata);
  return {
    metadata: { ...metadata, _h: metadataHash },
    metadataHash,
    bytes: baseBytes - emptyTextBytes + bytesOf(text) + laterBytes,
    dropped,
  };
}

/** Nested objects become dotted keys; what no vector database holds is dropped and counted. */
function flatten(fields: { readonly [key: string]: unknown }) {
  const flat: Record<string, Json> = {};
  let dropped = 0;
  const take = (key: string, value: unknown) => {
    if (reserved.has(key) || key === "" || key.startsWith("$")) dropped += 1;
    else if (isScalar(value)) set(flat, key, value);
    else if (Array.isArray(value)) {
      const texts = value.filter(isScalar).map(String);
      dropped += texts.length < value.length ? 1 : 0;
      set(flat, key, texts);
    } else if (isObject(value)) takeAll(`${key}.`, value);
    else dropped += 1;
  };
  // Sorted, so that of two fields with one dotted name the same one always wins.
  const takeAll = (prefix: string, object: { readonly [key: string]: unknown }) => {
    for (const key of Object.keys(object).toSorted()) take(prefix + key, object[key]);
  };
  takeAll("", fields);
  return { fields: flat as Metadata, dropped };
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
