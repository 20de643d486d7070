import { openKernel, pageBytes, type Dots } from "./kernel.ts";

/** Memory for int8 codes, given out in blocks and shared by all namespaces of a server. Made at the first `take`. */
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
  /** Gives the memory back. */
  readonly close: () => void;
}

/** Holds at least 12 vectors of 20,000 dimensions. */
export const blockBytes = 4 * pageBytes;
const maxDimensions = 20_480;
const reserved = blockBytes; // the query, and the sums of a block of the shortest rows

export function openArena(maxBytes: number): Arena {
  const blocks = Math.floor(maxBytes / blockBytes);
  const unused: number[] = [];
  let kernel: ReturnType<typeof openKernel> | undefined;
  let made = 0;
  let view = new Int8Array(0);

  // A memory reserves addresses for all that it may become, so a server that is never searched has none.
  const open = () => {
    if (kernel !== undefined) return kernel;
    kernel = openKernel((reserved + blocks * blockBytes) / pageBytes);
    kernel.memory.grow(reserved / pageBytes - 1);
    return kernel;
  };

  return {
    take: () => {
      const reused = unused.pop();
      if (reused !== undefined) return reused;
      if (made === blocks) return undefined;
      try {
        const { memory } = open();
        memory.grow(blockBytes / pageBytes);
        view = new Int8Array(memory.buffer);
      } catch (error) {
        // The machine has no more to give: the caller does with less.
        if (error instanceof RangeError) return undefined;
        throw error;
      }
      return reserved + made++ * blockBytes;
    },
    free: (address) => void unused.push(address),
    bytes: () => view,
    used: () => (made - unused.length) * blockBytes,
    dots: (...given) => open().dots(...given),
    query: 0,
    sums: maxDimensions * Int16Array.BYTES_PER_ELEMENT,
    close: () => {
      kernel = undefined;
      view = new Int8Array(0);
      unused.length = 0;
      made = 0;
    },
  };
}
