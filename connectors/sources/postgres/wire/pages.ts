import { protocolError } from "./refusals.ts";

const slabBytes = 1.25 * 2 ** 20;
const keptBytes = 4 * slabBytes;
/** PostgreSQL's own limit of one message. */
const frameLimit = 2 ** 30;
const copyData = 0x64; // d
const walData = 0x77; // w
const keepalive = 0x6b; // k
const walHeader = 25;

/** Pieces of the stream, in order. Valid until the next one is taken: decoded texts are copies. */
export interface Page {
  readonly bytes: Buffer;
  readonly count: number;
  /** Payload `i` is `bytes` from `offsets[2 * i]` to `offsets[2 * i + 1]`. */
  readonly offsets: Uint32Array;
}

/** Who is told of what is no piece of the log. */
export interface PageEvents {
  /** The server asks for a status, at once. */
  readonly asked: () => void;
  /** Any message but CopyData: its type byte and body, valid during the call. */
  readonly message: (type: number, body: Buffer) => void;
}

export interface Pages {
  /** Copies what the socket brought. Throws when it is not PostgreSQL's protocol. */
  readonly push: (chunk: Buffer) => void;
  /** All whole pieces since the last call. */
  readonly take: () => Page;
  /** Whole pieces that wait. */
  readonly count: () => number;
  /** Bytes of them, and of a piece that is not whole yet. */
  readonly size: () => number;
  /** The newest end of the log that the server has told. */
  readonly serverEnd: () => bigint;
}

interface Slab {
  bytes: Buffer;
  offsets: Uint32Array;
}

/**
 * Gathers the stream's bytes and finds its messages. Nothing is decoded here, and a byte is copied
 * once: two slabs take turns, one filling, one being read. A slab grows to its largest message, and
 * is given up after a large one.
 */
export function pages(events: PageEvents): Pages {
  let slab = freshSlab();
  let spare = freshSlab();
  let used = 0;
  let at = 0;
  let count = 0;
  let endHigh = 0;
  let endLow = 0;

  function reserve(size: number): void {
    if (size <= slab.bytes.length) return;
    const bytes = Buffer.allocUnsafeSlow(size);
    slab.bytes.copy(bytes, 0, 0, used);
    slab.bytes = bytes;
  }

  function note(start: number, end: number): void {
    if (2 * count === slab.offsets.length) {
      const offsets = new Uint32Array(2 * slab.offsets.length);
      offsets.set(slab.offsets);
      slab.offsets = offsets;
    }
    slab.offsets[2 * count] = start;
    slab.offsets[2 * count + 1] = end;
    count += 1;
  }

  function seen(position: number): void {
    const high = slab.bytes.readUInt32BE(position);
    const low = slab.bytes.readUInt32BE(position + 4);
    if (high < endHigh || (high === endHigh && low <= endLow)) return;
    endHigh = high;
    endLow = low;
  }

  function copied(start: number, end: number): void {
    const kind = slab.bytes[start];
    if (kind === walData && end - start >= walHeader) {
      seen(start + 9);
      note(start + walHeader, end);
    } else if (kind === keepalive && end - start === 18) {
      seen(start + 1);
      if (slab.bytes[start + 17] === 1) events.asked();
    } else throw protocolError(`a piece of the stream of kind ${kind} and ${end - start} bytes`);
  }

  return {
    push: (chunk) => {
      if (used + chunk.length > slab.bytes.length) reserve(used + chunk.length);
      slab.bytes.set(chunk, used);
      used += chunk.length;
      while (used - at >= 5) {
        const length = slab.bytes.readUInt32BE(at + 1);
        if (length < 4 || length > frameLimit) throw protocolError(`a message of ${length} bytes`);
        const end = at + 1 + length;
        if (end > used) {
          reserve(end);
          break;
        }
        const type = slab.bytes[at] ?? 0;
        if (type === copyData) copied(at + 5, end);
        else events.message(type, slab.bytes.subarray(at + 5, end));
        at = end;
      }
      if (count === 0 && at === used) used = at = 0;
    },
    take: () => {
      const page = { bytes: slab.bytes, offsets: slab.offsets, count };
      const rest = slab.bytes.subarray(at, used);
      const next = spare;
      spare = slab.bytes.length > keptBytes ? freshSlab() : slab;
      slab = next;
      used = 0;
      reserve(rest.length);
      slab.bytes.set(rest);
      used = rest.length;
      at = 0;
      count = 0;
      return page;
    },
    count: () => count,
    size: () => used,
    serverEnd: () => (BigInt(endHigh) << 32n) | BigInt(endLow),
  };
}

function freshSlab(): Slab {
  return { bytes: Buffer.allocUnsafeSlow(slabBytes), offsets: new Uint32Array(8_192) };
}
