/** A WebAssembly memory, as far as it is used here. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** By pages of 64 KiB. Detaches `buffer`. */
  readonly grow: (pages: number) => number;
}

/**
 * Dot products of `rows` rows of int8, `stride` bytes each (a multiple of 16) from address `codes` on, with the
 * int16 vector at `query`; one int32 a row from `out` on. The caller keeps sums within int32.
 */
export type Dots = (
  codes: number,
  rows: number,
  stride: number,
  query: number,
  out: number,
) => void;

// Node has it; neither its types nor the language's declare it.
declare const WebAssembly: {
  readonly Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: object,
  ) => { readonly exports: { readonly dots: Dots } };
};

export const pageBytes = 65_536;

/** A memory that may grow to `maxPages`, and the kernel that works in it. */
export function openKernel(maxPages: number): { readonly memory: WasmMemory; readonly dots: Dots } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: maxPages });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble(maxPages)), {
    host: { memory },
  });
  return { memory, dots: exports.dots };
}

const header = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

// Opcodes of the WebAssembly core specification, sections 5.4.1 to 5.4.8.
const [i32, v128] = [0x7f, 0x7b];
const get = (local: number) => [0x20, local];
const set = (local: number) => [0x21, local];
const tee = (local: number) => [0x22, local];
const constant = (value: number) => [0x41, value];
const add = [0x6a];
const subtract = [0x6b];
const differ = [0x47];
const loop = [0x03, 0x40];
const again = [0x0d, 0];
const end = [0x0b];
const store = [0x36, 2, 0];
const zeros = [0xfd, 0x0c, ...Array.from({ length: 16 }, () => 0)];
const load = (offset: number) => [0xfd, 0x00, 4, offset];
const widenLow = [0xfd, 0x87, 1];
const widenHigh = [0xfd, 0x88, 1];
const multiplyAddPairs = [0xfd, 0xba, 1];
const addLanes = [0xfd, 0xae, 1];
const lane = (at: number) => [0xfd, 0x1b, at];

function assemble(maxPages: number): Uint8Array {
  const [codes, rows, stride, query, out] = [0, 1, 2, 3, 4];
  const [low, high, piece, factor, rowEnd] = [5, 6, 7, 8, 9];
  const body = [
    loop,
    [zeros, set(low), zeros, set(high)],
    [get(query), set(factor), get(codes), get(stride), add, set(rowEnd)],
    loop,
    [get(codes), load(0), set(piece)],
    [get(low), get(piece), widenLow, get(factor), load(0), multiplyAddPairs, addLanes, set(low)],
    [
      get(high),
      get(piece),
      widenHigh,
      get(factor),
      load(16),
      multiplyAddPairs,
      addLanes,
      set(high),
    ],
    [get(factor), constant(32), add, set(factor)],
    [get(codes), constant(16), add, tee(codes), get(rowEnd), differ, again],
    end,
    [get(low), get(high), addLanes, set(low), get(out)],
    [get(low), lane(0), get(low), lane(1), add, get(low), lane(2), add, get(low), lane(3), add],
    [store, get(out), constant(4), add, set(out)],
    [get(rows), constant(1), subtract, tee(rows), again],
    end,
    end,
  ].flat(2);
  const code = [2, 3, v128, 2, i32, ...body];
  return Uint8Array.of(
    ...header,
    ...section(1, [1, 0x60, 5, i32, i32, i32, i32, i32, 0]),
    ...section(2, [1, ...text("host"), ...text("memory"), 2, 1, 1, ...leb(maxPages)]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("dots"), 0, 0]),
    ...section(10, [1, ...leb(code.length), ...code]),
  );
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...leb(content.length), ...content];
}

function text(name: string): number[] {
  return [name.length, ...Buffer.from(name)];
}

/** Unsigned LEB128. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}
