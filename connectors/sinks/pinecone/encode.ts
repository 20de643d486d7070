import { PoisonError, type Metadata, type Vector } from "sluice";
import { maxFloatBytes, writeFloats } from "./float32.ts";
import { checkId, limits, invalid } from "./outgoing.ts";

/** Grown to the largest vector so far. */
let scratch = Buffer.alloc(64 * 1024);

/**
 * A vector as it stands in the body of an upsert. Throws `PoisonError` for what the index would
 * refuse, or worse, take wrongly: the client checks nothing.
 */
function encodeVector({ id, values, metadata }: Vector, dimensions: number): Buffer {
  checkId(id);
  if (values.length !== dimensions)
    throw invalid(`the vector ${id} has ${values.length} dimensions, the index ${dimensions}`);
  const head = `{"id":${JSON.stringify(id)},"metadata":${metadataText(id, metadata)},"values":[`;
  const headBytes = Buffer.byteLength(head);
  const most = headBytes + values.length * maxFloatBytes + 2;
  if (scratch.length < most) scratch = Buffer.alloc(most * 2);
  scratch.write(head);
  const end = writeFloats(values, scratch, headBytes);
  if (end === -1) throw invalid(`the vector ${id} has a value that is no number`);
  if (end === -2) throw invalid(`the vector ${id} is all zeros`);
  scratch.write("]}", end);
  return Buffer.from(scratch.subarray(0, end + 2));
}

/** The body of an upsert. */
export function upsertBody(namespace: string, vectors: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`{"namespace":${JSON.stringify(namespace)},"vectors":[`)];
  for (const [at, vector] of vectors.entries()) {
    if (at > 0) parts.push(between);
    parts.push(vector);
  }
  parts.push(end);
  return Buffer.concat(parts);
}

const between = Buffer.from(",");
const end = Buffer.from("]}");

function metadataText(id: string, metadata: Metadata): string {
  for (const [key, value] of Object.entries(metadata)) {
    const ok = Array.isArray(value)
      ? value.every((item) => typeof item === "string")
      : typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
    if (!ok || key.startsWith("$"))
      throw invalid(`the vector ${id} has metadata that cannot be stored, '${key}'`);
  }
  const text = JSON.stringify(metadata);
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.maxMetadataBytes)
    throw invalid(
      `the vector ${id} has ${bytes} bytes of metadata, more than ${limits.maxMetadataBytes}`,
    );
  return text;
}

/** Vectors encoded once, for the measuring and every attempt to send them. */
export function encoder(dimensions: number): {
  /** Throws what `encodeVector` throws, every time it is asked. */
  readonly of: (vector: Vector) => Buffer;
  /** Bytes in a body; 0 for a vector that cannot be sent. */
  readonly bytesOf: (vector: Vector) => number;
} {
  const known = new WeakMap<Vector, Buffer | PoisonError>();
  function encoded(vector: Vector): Buffer | PoisonError {
    const found = known.get(vector);
    if (found !== undefined) return found;
    const made = tried(vector, dimensions);
    known.set(vector, made);
    return made;
  }
  return {
    of(vector) {
      const made = encoded(vector);
      if (made instanceof PoisonError) throw made;
      return made;
    },
    bytesOf(vector) {
      const made = encoded(vector);
      return made instanceof PoisonError ? 0 : made.length + between.length;
    },
  };
}

function tried(vector: Vector, dimensions: number): Buffer | PoisonError {
  try {
    return encodeVector(vector, dimensions);
  } catch (error) {
    if (error instanceof PoisonError) return error;
    throw error;
  }
}
