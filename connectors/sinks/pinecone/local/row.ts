import type { Row } from "./database.ts";

/** Values as stored: little-endian float32, the layout that libsql's distance functions read. */
export function toBytes(values: Float32Array): { bytes: Uint8Array; norm: number } {
  return {
    bytes: Buffer.from(values.buffer, values.byteOffset, values.byteLength),
    norm: normOf(values),
  };
}

export function valuesOf(row: Row): Float32Array {
  // libsql gives a blob as ArrayBuffer or as Buffer; a copy is aligned either way.
  return new Float32Array(new Uint8Array(row["embedding"] as ArrayBuffer | Buffer).slice().buffer);
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

function sparseOf(row: Row): { indices: number[]; values: number[] } | undefined {
  if (typeof row["sparse"] !== "string") return undefined;
  const stored = JSON.parse(row["sparse"]) as Record<string, number>;
  return { indices: Object.keys(stored).map(Number), values: Object.values(stored) };
}

/** A vector as fetch and query answer it. */
export function toRecord(row: Row, parts = { values: true, metadata: true }) {
  const metadata = parts.metadata ? metadataOf(row) : undefined;
  const sparseValues = parts.values ? sparseOf(row) : undefined;
  return {
    id: String(row["id"]),
    values: parts.values ? Array.from(valuesOf(row)) : [],
    ...(sparseValues && { sparseValues }),
    ...(metadata && { metadata }),
  };
}
