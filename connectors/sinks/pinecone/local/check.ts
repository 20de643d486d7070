import { z } from "sluice";
import type { IndexRow } from "./call.ts";
import { invalid } from "./refusal.ts";
import type { SparseVector } from "./row.ts";

/** Limits of the real service. */
export const limits = {
  vectors: 1_000,
  ids: 1_000,
  records: 96,
  idLength: 512,
  metadataBytes: 40_960,
  sparse: 1_000,
  topK: 10_000,
};
const maxSparseIndex = 2 ** 32 - 1;

/** Not a zod record, which drops the key `__proto__`. */
export const metadata = z.custom<Readonly<Record<string, unknown>>>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "must be an object",
);

export const topK = z
  .unknown()
  .refine(
    (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= limits.topK,
    `must be an integer from 1 to ${limits.topK}`,
  )
  .transform(Number);

export function checkId(id: unknown): asserts id is string {
  if (typeof id !== "string") throw invalid(`Vector ID must be a string, but got ${shown(id)}`);
  if (id.includes("\0")) throw invalid("Vector ID must not contain null character");
  if (/[^\0-\x7f]/.test(id)) throw invalid(`Vector ID must be ASCII, but got '${id}'`);
  if (id === "" || id.length > limits.idLength) {
    throw invalid(`Vector ID must have 1 to ${limits.idLength} characters, but got ${id.length}`);
  }
}

/** The ids of a request: at least one, at most `limits.ids`. */
export function checkIds(ids: readonly string[], what: string): void {
  if (ids.length === 0 || ids.length > limits.ids) {
    throw invalid(`${what} takes 1 to ${limits.ids} ids, got ${ids.length}`);
  }
  for (const id of ids) checkId(id);
}

/** Float32 values of a stored vector: the right count and not all zero. `where` names it in an error. */
export function toStored(values: unknown, dimension: number, id: string): Float32Array {
  const floats = toFloats(values, dimension, `vector '${id}'`);
  if (floats.every((value) => value === 0)) {
    throw invalid(
      `Dense vectors must contain at least one non-zero value. Vector ID '${id}' contains only zeros`,
    );
  }
  return floats;
}

/** Checked by hand: this is most of what an upsert does. */
export function toFloats(values: unknown, dimension: number, where: string): Float32Array {
  if (!Array.isArray(values))
    throw invalid(`Vector values must be a list of numbers, got ${shown(values)} for ${where}`);
  const floats = toFloat32(values, where);
  if (values.length !== dimension) {
    throw invalid(
      `Vector dimension ${values.length} does not match the dimension of the index ${dimension}`,
    );
  }
  return floats;
}

function toFloat32(values: readonly unknown[], where: string): Float32Array {
  const floats = new Float32Array(values.length);
  for (let at = 0; at < floats.length; at++) {
    const value = values[at];
    if (typeof value !== "number")
      throw invalid(`Vector values must be numbers, got ${shown(value)} at ${at} of ${where}`);
    floats[at] = value;
    if (!Number.isFinite(floats[at]))
      throw invalid(
        `Vector values must be finite 32-bit floats, got ${value} at ${at} of ${where}`,
      );
  }
  return floats;
}

export function checkMetadata(metadata: unknown): string {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata))
    throw invalid(`metadata must be an object, got ${shown(metadata)}`);
  for (const [field, value] of Object.entries(metadata)) {
    if (field.startsWith("$"))
      throw invalid(`Metadata keys must not start with '$', got '${field}'`);
    const list = Array.isArray(value) && value.every((item) => typeof item === "string");
    const scalar =
      typeof value === "string" || Number.isFinite(value) || typeof value === "boolean";
    if (!list && !scalar) {
      throw invalid(
        `Metadata value must be a string, number, boolean or list of strings, got '${shown(value)}' for field '${field}'`,
      );
    }
  }
  const text = JSON.stringify(metadata);
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.metadataBytes) {
    throw invalid(
      `metadata size is ${bytes} bytes, which exceeds the limit of ${limits.metadataBytes} bytes per vector`,
    );
  }
  return text;
}

/** Refuses a question that an index has no scores for. */
export function checkScoresSparse({ dimension, metric }: IndexRow): void {
  if (dimension > 0 && metric !== "dotproduct") {
    throw invalid(
      `Index configuration does not support sparse values - only indexes that are sparse or using dotproduct are supported, and this one is using ${metric}`,
    );
  }
}

/** A sparse part, its values as float32. Indexes that have no score for it keep it all the same. */
export function toSparse(sparse: unknown): SparseVector {
  const { indices, values } = Object(sparse) as { indices?: unknown; values?: unknown };
  if (!Array.isArray(indices) || !Array.isArray(values))
    throw invalid(`Sparse values must have lists of indices and values, got ${shown(sparse)}`);
  if (indices.length !== values.length)
    throw invalid(`Sparse vector has ${indices.length} indices but ${values.length} values`);
  if (indices.length === 0 || indices.length > limits.sparse)
    throw invalid(`Sparse vectors have 1 to ${limits.sparse} entries, got ${indices.length}`);
  for (const at of indices as readonly unknown[])
    if (typeof at !== "number" || !Number.isInteger(at) || at < 0 || at > maxSparseIndex)
      throw invalid(`Sparse vector indices must be integers from 0 to 2^32-1, got ${shown(at)}`);
  if (new Set(indices).size !== indices.length)
    throw invalid("Sparse vector indices must be unique");
  return { indices, values: Array.from(toFloat32(values, "the sparse values")) };
}

/** As stored: a JSON object of index → value. */
export function sparseText({ indices, values }: SparseVector): string {
  return JSON.stringify(Object.fromEntries(indices.map((at, i) => [at, values[i]])));
}

/** A value in an error message, cut short. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
