import { z } from "sluice";
import { invalid } from "./refusal.ts";
import { normOf } from "./row.ts";

/** Limits of the real service, but for the norms. */
export const limits = {
  vectors: 1_000,
  ids: 1_000,
  idLength: 512,
  metadataBytes: 40_960,
  sparse: 1_000,
  topK: 10_000,
  minNorm: 1e-9,
  maxNorm: 1e9,
};

/** Not a zod record, which drops the key `__proto__`. */
export const metadata = z.custom<Readonly<Record<string, unknown>>>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "must be an object",
);
export const sparseValues = z.object({ indices: z.array(z.number()), values: z.array(z.number()) });
export type Sparse = z.output<typeof sparseValues>;

export function checkId(id: string): void {
  if (id.includes("\0")) throw invalid("Vector ID must not contain null character");
  for (const letter of id) {
    if (letter > "\x7f") throw invalid(`Vector ID must be ASCII, but got '${id}'`);
  }
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

/** Float32 values of a stored vector: the right count and not all zero. */
export function toStored(values: readonly number[], dimension: number, id: string): Float32Array {
  const floats = toFloats(values, dimension);
  if (floats.every((value) => value === 0)) {
    throw invalid(
      `Dense vectors must contain at least one non-zero value. Vector ID '${id}' contains only zeros`,
    );
  }
  return floats;
}

export function toFloats(values: readonly number[], dimension: number): Float32Array {
  if (values.length !== dimension) {
    throw invalid(
      `Vector dimension ${values.length} does not match the dimension of the index ${dimension}`,
    );
  }
  const floats = Float32Array.from(values);
  if (!floats.every((value) => Number.isFinite(value)))
    throw invalid("Vector values must be finite 32-bit floats");
  // Distances are measured in float32: squares of what is longer overflow, of what is shorter vanish.
  const norm = normOf(floats);
  if (norm !== 0 && (norm < limits.minNorm || norm > limits.maxNorm)) {
    throw invalid(
      `the length of a vector must be from ${limits.minNorm} to ${limits.maxNorm}, got ${norm.toPrecision(3)}`,
    );
  }
  return floats;
}

export function checkMetadata(metadata: Readonly<Record<string, unknown>>): string {
  for (const [field, value] of Object.entries(metadata)) {
    if (field.startsWith("$"))
      throw invalid(`Metadata keys must not start with '$', got '${field}'`);
    const list = Array.isArray(value) && value.every((item) => typeof item === "string");
    const scalar =
      typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    if (!list && !scalar) {
      throw invalid(
        `Metadata value must be a string, number, boolean or list of strings, got '${JSON.stringify(value)}' for field '${field}'`,
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

/** As stored: a JSON object of index → value. */
export function checkSparse({ indices, values }: Sparse): string {
  if (indices.length !== values.length) {
    throw invalid(`Sparse vector has ${indices.length} indices but ${values.length} values`);
  }
  if (indices.length === 0 || indices.length > limits.sparse) {
    throw invalid(`Sparse vectors have 1 to ${limits.sparse} entries, got ${indices.length}`);
  }
  return JSON.stringify(
    Object.fromEntries(indices.map((at, i) => [at, Math.fround(values[i] ?? 0)])),
  );
}
