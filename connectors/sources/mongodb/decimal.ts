/** A decimal128 taken apart: sign × coefficient × 10^exponent. */
export interface Decimal {
  readonly kind: "finite" | "infinite" | "nan";
  readonly isNegative: boolean;
  readonly coefficient: bigint;
  readonly exponent: number;
}

const bias = 6_176;
const largest = 10n ** 34n - 1n;

/** Reads the 16 bytes of a decimal128 (IEEE 754-2008, binary integer decimal). */
export function decimalAt(bytes: Buffer, at: number): Decimal {
  const low = bytes.readBigUInt64LE(at);
  const high = bytes.readBigUInt64LE(at + 8);
  const isNegative = high >> 63n === 1n;
  const combination = Number((high >> 58n) & 0x1fn);
  const none = { isNegative, coefficient: 0n, exponent: 0 };
  if (combination === 0x1f) return { kind: "nan", ...none, isNegative: false };
  if (combination === 0x1e) return { kind: "infinite", ...none };
  // The other form of the exponent belongs to coefficients that are too large: they count as zero.
  const isLarge = combination >> 3 === 3;
  const exponent = Number((high >> (isLarge ? 47n : 49n)) & 0x3fffn) - bias;
  const coefficient = isLarge ? 0n : ((high & 0x1_ffff_ffff_ffffn) << 64n) | low;
  return {
    kind: "finite",
    isNegative,
    coefficient: coefficient > largest ? 0n : coefficient,
    exponent,
  };
}

/** The text that the server prints. */
export function decimalText({ kind, isNegative, coefficient, exponent }: Decimal): string {
  const sign = isNegative ? "-" : "";
  if (kind === "nan") return "NaN";
  if (kind === "infinite") return `${sign}Infinity`;
  const digits = coefficient.toString();
  const scientific = exponent + digits.length - 1;
  if (exponent > 0 || scientific < -6) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    return `${sign}${digits[0]}${fraction}E${scientific < 0 ? "" : "+"}${scientific}`;
  }
  if (exponent === 0) return sign + digits;
  const padded = digits.padStart(1 - exponent, "0");
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}
