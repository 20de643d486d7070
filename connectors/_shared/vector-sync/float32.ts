/** Base64 of float32 little-endian, as `Chunk.vector` and the vector cache hold vectors. */
export function toBase64(values: Float32Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}

/** The vector, or `undefined` when the text is not `dimensions` finite numbers. */
export function parseVector(base64: string, dimensions: number): Float32Array | undefined {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.byteLength !== dimensions * 4) return undefined;
  // A copy: pooled buffers are not aligned to four bytes.
  const values = new Float32Array(new Uint8Array(bytes).buffer);
  return values.every(Number.isFinite) ? values : undefined;
}
