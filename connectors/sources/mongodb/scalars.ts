import type { Json } from "sluice";
import { endOfName, lengthOf, nameAt, textAt, type } from "./bson.ts";
import { decimalAt, decimalText } from "./decimal.ts";

/**
 * How values are written that JSON does not know. `canonical` and `relaxed` are MongoDB's Extended JSON 2;
 * `plain` writes what people would: dates as RFC 3339, ids as hex digits, decimals as text.
 */
export type Dialect = "relaxed" | "canonical" | "plain";

/** Writes a value that has none inside and is neither text, boolean nor null. Undefined: leave the field out. */
export type Scalar = (kind: number, bytes: Buffer, at: number) => Json | undefined;

export const scalars: Readonly<Record<Dialect, Scalar>> = { canonical, relaxed, plain };

const year1 = Date.parse("0001-01-01T00:00:00Z");
const year1970 = 0;
const year10000 = Date.UTC(10_000, 0, 1);

function canonical(kind: number, bytes: Buffer, at: number): Json {
  switch (kind) {
    case type.int32:
      return { $numberInt: `${bytes.readInt32LE(at)}` };
    case type.int64:
      return { $numberLong: `${bytes.readBigInt64LE(at)}` };
    case type.double:
      return { $numberDouble: doubleText(bytes.readDoubleLE(at)) };
    case type.date:
      return { $date: { $numberLong: `${bytes.readBigInt64LE(at)}` } };
    default:
      return extended(kind, bytes, at);
  }
}

// Adding 0 makes 0 of -0, which JSON does not know.
function relaxed(kind: number, bytes: Buffer, at: number): Json {
  switch (kind) {
    case type.int32:
      return bytes.readInt32LE(at);
    case type.int64:
      // Beyond 2^53 a JSON number would be read as another one.
      return safeInteger(bytes, at) ?? { $numberLong: `${bytes.readBigInt64LE(at)}` };
    case type.double: {
      const number = bytes.readDoubleLE(at);
      return Number.isFinite(number) ? number + 0 : { $numberDouble: doubleText(number) };
    }
    case type.date: {
      const ms = Number(bytes.readBigInt64LE(at));
      if (ms < year1970 || ms >= year10000) return canonical(kind, bytes, at);
      const text = new Date(ms).toISOString();
      return { $date: ms % 1_000 === 0 ? text.replace(".000Z", "Z") : text };
    }
    default:
      return extended(kind, bytes, at);
  }
}

function plain(kind: number, bytes: Buffer, at: number): Json | undefined {
  switch (kind) {
    case type.int32:
      return bytes.readInt32LE(at);
    case type.int64:
      return safeInteger(bytes, at) ?? `${bytes.readBigInt64LE(at)}`;
    case type.double: {
      const number = bytes.readDoubleLE(at);
      return Number.isFinite(number) ? number + 0 : `${number}`;
    }
    case type.decimal:
      return decimalText(decimalAt(bytes, at));
    case type.objectId:
      return bytes.toString("hex", at, at + 12);
    case type.date: {
      const ms = bytes.readBigInt64LE(at);
      const isUsual = ms >= year1 && ms < year10000;
      return isUsual ? new Date(Number(ms)).toISOString() : `${ms}`;
    }
    case type.binary: {
      const { subtype, content } = binaryAt(bytes, at);
      return subtype === 4 && content.length === 16
        ? uuidText(content)
        : content.toString("base64");
    }
    case type.timestamp:
      return `${bytes.readUInt32LE(at + 4)}:${bytes.readUInt32LE(at)}`;
    case type.regex: {
      const { pattern, options } = regexAt(bytes, at);
      return `/${pattern}/${options}`;
    }
    case type.symbol:
    case type.code:
      return textAt(bytes, at);
    case type.pointer:
      return `${textAt(bytes, at)}:${pointedAt(bytes, at)}`;
    default:
      return undefined;
  }
}

/** What canonical and relaxed Extended JSON write alike. */
function extended(kind: number, bytes: Buffer, at: number): Json {
  switch (kind) {
    case type.objectId:
      return { $oid: bytes.toString("hex", at, at + 12) };
    case type.decimal:
      return { $numberDecimal: decimalText(decimalAt(bytes, at)) };
    case type.binary: {
      const { subtype, content } = binaryAt(bytes, at);
      const subType = subtype.toString(16).padStart(2, "0");
      return { $binary: { base64: content.toString("base64"), subType } };
    }
    case type.timestamp:
      return { $timestamp: { t: bytes.readUInt32LE(at + 4), i: bytes.readUInt32LE(at) } };
    case type.regex:
      return { $regularExpression: { ...regexAt(bytes, at) } };
    case type.symbol:
      return { $symbol: textAt(bytes, at) };
    case type.code:
      return { $code: textAt(bytes, at) };
    case type.pointer:
      return { $dbPointer: { $ref: textAt(bytes, at), $id: { $oid: pointedAt(bytes, at) } } };
    case type.undefined:
      return { $undefined: true };
    case type.minKey:
      return { $minKey: 1 };
    case type.maxKey:
      return { $maxKey: 1 };
    default:
      throw new RangeError(`bson: type ${kind} is none of BSON's.`);
  }
}

/** An int64 that a JSON number keeps. */
function safeInteger(bytes: Buffer, at: number): number | undefined {
  const high = bytes.readInt32LE(at + 4);
  if (high < -0x20_0000 || high >= 0x20_0000) return undefined;
  const number = high * 0x1_0000_0000 + bytes.readUInt32LE(at);
  return Number.isSafeInteger(number) ? number : undefined;
}

function doubleText(number: number): string {
  if (Object.is(number, -0)) return "-0.0";
  return Number.isInteger(number) ? number.toFixed(1) : `${number}`;
}

function binaryAt(bytes: Buffer, at: number): { subtype: number; content: Buffer } {
  const length = bytes.readInt32LE(at);
  const subtype = bytes[at + 4] ?? 0;
  const start = at + 5;
  // The old binary repeats its length inside.
  const skip = subtype === 2 && length >= 4 ? 4 : 0;
  return { subtype, content: bytes.subarray(start + skip, start + length) };
}

function regexAt(bytes: Buffer, at: number): { pattern: string; options: string } {
  const end = endOfName(bytes, at);
  const last = endOfName(bytes, end + 1);
  return { pattern: nameAt(bytes, at, end), options: nameAt(bytes, end + 1, last) };
}

function pointedAt(bytes: Buffer, at: number): string {
  const id = at + lengthOf(type.string, bytes, at);
  return bytes.toString("hex", id, id + 12);
}

function uuidText(content: Buffer): string {
  const hex = content.toString("hex");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}
