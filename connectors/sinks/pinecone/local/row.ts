import { toShortest } from "./shortest.ts";
import type { Row } from "./database.ts";

export interface SparseVector {
  readonly indices: readonly number[];
  readonly values: readonly number[];
}

/** Values as stored: little-endian float32. */
export function toBytes(values: Float32Array): Uint8Array {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

/** The dense values of a row, to be read at once: they may lie in the driver's memory. */
export function floatsOf(row: Row): Float32Array {
  // libsql gives a blob as ArrayBuffer or as Buffer, which need not be aligned.
  const blob = row["embedding"] as ArrayBuffer | Buffer;
  if (blob instanceof ArrayBuffer) return new Float32Array(blob);
  const { buffer, byteOffset, byteLength } = byteAligned(blob);
  return new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT);
}

export function normOf(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}

export function metadataOf(row: Row): Record<string, unknown> | undefined {
  return typeof row["metadata"] === "string"
    ? (JSON.parse(row["metadata"]) as Record<string, unknown>)
    : undefined;
}

/** Stored as a JSON object of index → value, which sorts them. */
export function sparseOf(row: Row): SparseVector | undefined {
  if (typeof row["sparse"] !== "string") return undefined;
  const stored = JSON.parse(row["sparse"]) as Record<string, number>;
  return { indices: Object.keys(stored).map(Number), values: Object.values(stored) };
}

/** A vector as fetch and query answer it: float32 values are told as their shortest decimals, 0.1 as 0.1. */
export function toRecord(row: Row, parts = { values: true, metadata: true }) {
  const metadata = parts.metadata ? metadataOf(row) : undefined;
  const isEmpty = metadata === undefined || Object.keys(metadata).length === 0;
  const sparse = parts.values ? sparseOf(row) : undefined;
  return {
    id: String(row["id"]),
    values: parts.values ? toShortest(floatsOf(row)) : [],
    ...(sparse && {
      sparseValues: { ...sparse, values: toShortest(Float32Array.from(sparse.values)) },
    }),
    ...(!isEmpty && { metadata }),
  };
}

function byteAligned(blob: Buffer): Uint8Array {
  return blob.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0 ? blob : new Uint8Array(blob);
}
