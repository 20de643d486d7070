import type { Metric } from "../call.ts";
import { floatsOf } from "../row.ts";
import { blockBytes, type Arena } from "./arena.ts";
import { roomFor } from "./growing.ts";
import type { Part } from "./part.ts";

/** Estimates of how well each vector matches, with how wrong they can be at most. */
export interface Codes extends Part {
  /**
   * Writes, for every slot, the least and the greatest value that its key can have. The key orders by score: cosine
   * times the query's length, the dot product, or twice the dot product less the vector's squared length (euclidean).
   */
  readonly bounds: (
    query: Float32Array,
    size: number,
    low: Float64Array,
    high: Float64Array,
  ) => void;
  /** There was no room for all: estimate nothing. */
  readonly full: () => boolean;
  readonly free: () => void;
}

// Bounds are computed in double precision, as the scores are; this covers the rounding of both many times over.
const fuzz = 1e-9;
const maxCode = 127;

/** Vectors as int8 in the arena: a quarter of their bytes, and a scan as fast as the memory. */
export function openCodes(arena: Arena, dimension: number, metric: Metric): Codes {
  const stride = Math.ceil(dimension / 16) * 16;
  const rowsPerBlock = Math.floor(blockBytes / stride);
  const blocks: number[] = [];
  let full = false;
  // The key is factor * dot + shift; scale, error and length are of the vector, times its factor.
  let scales = new Float64Array(0);
  let errors = new Float64Array(0);
  let lengths = new Float64Array(0);
  let shifts = new Float64Array(0);

  const addressOf = (slot: number): number | undefined => {
    const block = blocks[Math.floor(slot / rowsPerBlock)];
    return block === undefined ? undefined : block + (slot % rowsPerBlock) * stride;
  };
  const cut = (size: number): void => {
    const needed = Math.ceil(size / rowsPerBlock);
    for (const block of blocks.splice(needed)) arena.free(block);
  };

  return {
    reads: ["embedding", "norm"],
    set: (slot, row) => {
      if (full) return;
      if (slot >= blocks.length * rowsPerBlock) {
        const block = arena.take();
        if (block === undefined) {
          full = true;
          cut(0);
          return;
        }
        blocks.push(block);
      }
      const address = addressOf(slot) ?? 0;
      scales = roomFor(scales, slot);
      errors = roomFor(errors, slot);
      lengths = roomFor(lengths, slot);
      shifts = roomFor(shifts, slot);
      const norm = Number(row["norm"]);
      const factor = metric === "cosine" ? 1 / (norm || 1) : metric === "euclidean" ? 2 : 1;
      const target = arena.bytes().subarray(address, address + stride);
      const { scale, error } = encode(floatsOf(row), target);
      scales[slot] = scale * factor;
      errors[slot] = error * factor;
      lengths[slot] = (norm + error) * factor;
      shifts[slot] = metric === "euclidean" ? -norm * norm : 0;
    },
    move: (from, to) => {
      if (full) return;
      const [source, target] = [addressOf(from) ?? 0, addressOf(to) ?? 0];
      arena.bytes().copyWithin(target, source, source + stride);
      for (const array of [scales, errors, lengths, shifts]) array[to] = array[from] ?? 0;
    },
    cut,
    bounds: (query, size, low, high) => {
      if (size === 0) return;
      const { scale, error, length } = placeQuery(arena, query, stride);
      const sums = new Int32Array(arena.bytes().buffer, arena.sums, rowsPerBlock);
      for (const [at, block] of blocks.entries()) {
        const first = at * rowsPerBlock;
        const rows = Math.min(rowsPerBlock, size - first);
        if (rows <= 0) break;
        arena.dots(block, rows, stride, arena.query, arena.sums);
        for (let row = 0, slot = first; row < rows; row++, slot++) {
          const shift = shifts[slot] ?? 0;
          const key = scale * (scales[slot] ?? 0) * (sums[row] ?? 0) + shift;
          const size = lengths[slot] ?? 0;
          const wrong =
            length * (errors[slot] ?? 0) + error * size + fuzz * (length * size - shift);
          low[slot] = key - wrong;
          high[slot] = key + wrong;
        }
      }
    },
    full: () => full,
    free: () => cut(0),
  };
}

/** Nearest int8 multiples of `scale`; `error` is the length of what they leave out. */
function encode(values: Float32Array, target: Int8Array): { scale: number; error: number } {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i] ?? 0));
  const scale = largest / maxCode;
  const inverse = scale === 0 ? 0 : 1 / scale;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    const code = nearestInteger(value * inverse);
    target[i] = code;
    squares += (value - code * scale) ** 2;
  }
  target.fill(0, values.length);
  return { scale, error: Math.sqrt(squares) };
}

/** The query as int16: as fine as sums of `stride` products still fit an int32. */
function placeQuery(arena: Arena, query: Float32Array, stride: number) {
  const target = new Int16Array(arena.bytes().buffer, arena.query, stride);
  const finest = Math.min(32_767, Math.floor((2 ** 31 - 1) / (maxCode * stride)));
  let largest = 0;
  let squares = 0;
  for (const value of query) {
    largest = Math.max(largest, Math.abs(value));
    squares += value * value;
  }
  const scale = largest / finest;
  let lost = 0;
  target.fill(0);
  for (const [at, value] of query.entries()) {
    const code = scale === 0 ? 0 : nearestInteger(value / scale);
    target[at] = code;
    lost += (value - code * scale) ** 2;
  }
  return { scale, error: Math.sqrt(lost), length: Math.sqrt(squares) };
}

/** Of a number far below 2^31. Many times faster than `Math.round`, which must keep -0. */
function nearestInteger(value: number): number {
  return (value < 0 ? value - 0.5 : value + 0.5) | 0;
}
