import { lengthOf, type, type Value } from "./bson.ts";
import { decimalAt, type Decimal } from "./decimal.ts";

/**
 * How two values without fields stand to each other, as MongoDB compares: negative, 0, positive; undefined
 * when they are of different classes (all numbers are one, texts and symbols another) or one is NaN.
 */
export function compared(a: Value, b: Value): number | undefined {
  const kind = classOf(a.type);
  if (kind !== classOf(b.type)) return undefined;
  switch (kind) {
    case type.double:
      return numbers(a, b);
    case type.string:
      return texts(a, b);
    case type.binary:
      return binaries(a, b);
    case type.objectId:
      return a.bytes.compare(b.bytes, b.at, b.at + 12, a.at, a.at + 12);
    case type.boolean:
      return (a.bytes[a.at] ?? 0) - (b.bytes[b.at] ?? 0);
    case type.date:
      return sign(a.bytes.readBigInt64LE(a.at) - b.bytes.readBigInt64LE(b.at));
    case type.timestamp:
      return sign(a.bytes.readBigUInt64LE(a.at) - b.bytes.readBigUInt64LE(b.at));
    case type.null:
      return 0;
    default:
      return undefined;
  }
}

export function isNaNValue({ bytes, type: kind, at }: Value): boolean {
  if (kind === type.double) return Number.isNaN(bytes.readDoubleLE(at));
  return kind === type.decimal && decimalAt(bytes, at).kind === "nan";
}

/** Undefined is no value of its own: it counts as null. */
function classOf(kind: number): number {
  switch (kind) {
    case type.int32:
    case type.int64:
    case type.decimal:
      return type.double;
    case type.symbol:
      return type.string;
    case type.undefined:
      return type.null;
    default:
      return kind;
  }
}

function numbers(a: Value, b: Value): number | undefined {
  if (isNaNValue(a) || isNaNValue(b)) return undefined;
  const [x, y] = [plainNumber(a), plainNumber(b)];
  if (x !== undefined && y !== undefined) return x - y || (x === y ? 0 : Math.sign(x - y));
  return decimals(toDecimal(a), toDecimal(b));
}

/** What a double holds exactly. */
function plainNumber({ bytes, type: kind, at }: Value): number | undefined {
  if (kind === type.int32) return bytes.readInt32LE(at);
  return kind === type.double ? bytes.readDoubleLE(at) : undefined;
}

function toDecimal({ bytes, type: kind, at }: Value): Decimal {
  switch (kind) {
    case type.decimal:
      return decimalAt(bytes, at);
    case type.int64:
      return ofInteger(bytes.readBigInt64LE(at));
    case type.int32:
      return ofInteger(BigInt(bytes.readInt32LE(at)));
    default:
      return ofDouble(bytes.readDoubleLE(at));
  }
}

function ofInteger(value: bigint): Decimal {
  const isNegative = value < 0n;
  return { kind: "finite", isNegative, coefficient: isNegative ? -value : value, exponent: 0 };
}

/** Exact: a half is five tenths. */
function ofDouble(value: number): Decimal {
  const isNegative = value < 0;
  if (!Number.isFinite(value))
    return { kind: "infinite", isNegative, coefficient: 0n, exponent: 0 };
  let [mantissa, halvings] = [Math.abs(value), 0];
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    halvings += 1;
  }
  const coefficient = BigInt(mantissa) * 5n ** BigInt(halvings);
  return { kind: "finite", isNegative, coefficient, exponent: -halvings };
}

function decimals(a: Decimal, b: Decimal): number {
  const [signA, signB] = [signOf(a), signOf(b)];
  if (signA !== signB || signA === 0) return signA - signB;
  return signA * magnitudes(a, b);
}

function signOf({ kind, isNegative, coefficient }: Decimal): number {
  if (kind === "finite" && coefficient === 0n) return 0;
  return isNegative ? -1 : 1;
}

function magnitudes(a: Decimal, b: Decimal): number {
  if (a.kind === "infinite" || b.kind === "infinite")
    return Number(a.kind === "infinite") - Number(b.kind === "infinite");
  const sizeOf = (one: Decimal) => one.coefficient.toString().length + one.exponent;
  if (sizeOf(a) !== sizeOf(b)) return sizeOf(a) - sizeOf(b);
  const lowest = Math.min(a.exponent, b.exponent);
  const scaled = (one: Decimal) => one.coefficient * 10n ** BigInt(one.exponent - lowest);
  return sign(scaled(a) - scaled(b));
}

function texts(a: Value, b: Value): number {
  const [endA, endB] = [endOfText(a), endOfText(b)];
  return a.bytes.compare(b.bytes, b.at + 4, endB, a.at + 4, endA);
}

function endOfText({ bytes, at }: Value): number {
  return at + 3 + bytes.readInt32LE(at);
}

/** The longer one is higher; then subtype and content decide. */
function binaries(a: Value, b: Value): number {
  const length = (one: Value) => one.bytes.readInt32LE(one.at);
  if (length(a) !== length(b)) return length(a) - length(b);
  const end = (one: Value) => one.at + lengthOf(type.binary, one.bytes, one.at);
  return a.bytes.compare(b.bytes, b.at + 4, end(b), a.at + 4, end(a));
}

function sign(value: bigint): number {
  return value < 0n ? -1 : Number(value > 0n);
}
