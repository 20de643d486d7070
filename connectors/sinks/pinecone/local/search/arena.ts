import { openKernel, pageBytes, type Dots, type WasmMemory } from "./kernel.ts";

/** Memory for int8 codes, given out in blocks and shared by all namespaces of the process. */
export interface Arena {
  /** Address of a block; `undefined` when all that is allowed is in use. */
  readonly take: () => number | undefined;
  readonly free: (address: number) => void;
  /** A view of the whole memory: valid until the next `take`. */
  readonly bytes: () => Int8Array;
  readonly used: () => number;
  readonly dots: Dots;
  /** Address of room for an int16 query of `maxDimensions`, and of one int32 for each row of a block. */
  readonly query: number;
  readonly sums: number;
}

/** Holds at least 12 vectors of 20,000 dimensions. */
export const blockBytes = 4 * pageBytes;
const maxDimensions = 20_480;

export function openArena(maxBytes: number): Arena {
  const blocks = Math.floor(maxBytes / blockBytes);
  const reserved = blockBytes; // the query, and the sums of a block of the shortest rows
  const { memory, dots } = openKernel((reserved + blocks * blockBytes) / pageBytes);
  memory.grow(reserved / pageBytes - 1);
  const unused: number[] = [];
  let made = 0;
  let view = new Int8Array(memory.buffer);
  return {
    take: () => {
      const reused = unused.pop();
      if (reused !== undefined) return reused;
      if (made === blocks || !canGrow(memory)) return undefined;
      view = new Int8Array(memory.buffer);
      return reserved + made++ * blockBytes;
    },
    free: (address) => void unused.push(address),
    bytes: () => view,
    used: () => (made - unused.length) * blockBytes,
    dots,
    query: 0,
    sums: maxDimensions * Int16Array.BYTES_PER_ELEMENT,
  };
}

function canGrow(memory: WasmMemory): boolean {
  try {
    memory.grow(blockBytes / pageBytes);
    return true;
  } catch (error) {
    // The machine has no more to give: the caller does with less.
    if (error instanceof RangeError) return false;
    throw error;
  }
}
