/** Powers of ten that a double holds exactly. */
const powers = Float64Array.from({ length: 23 }, (_, exponent) => 10 ** exponent);
/** By a float32's exponent bits: decimals that tell it from its neighbours nearly always; with one more they always do. */
const decimalsOf = Int32Array.from(
  { length: 256 },
  (_, bits) => Math.ceil(-Math.log10(2 ** (bits - 127 - 23))) - 1,
);
/** Where the quick way ends: below, values are written as the engine writes them. */
const maxDecimals = 12;
/** `000` to `999`. */
const triples = Buffer.from(
  Array.from({ length: 1_000 }, (_, number) => String(number).padStart(3, "0")).join(""),
);
const [comma, minus, point, zero] = [0x2c, 0x2d, 0x2e, 0x30];

/** No float32 takes more, its comma included. */
export const maxFloatBytes = 17;

/**
 * Writes the values as JSON numbers between commas, each as the shortest decimal that still rounds to
 * it: `0.1` instead of `0.10000000149011612`, 1.7 times fewer bytes, nothing lost. Returns where it
 * ended; -1 where a value is no finite number, -2 where all are zero, which no index takes.
 */
export function writeFloats(values: Float32Array, into: Buffer, start: number): number {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let at = start;
  let isZero = true;
  // By index, not by iterator: this runs for every number of every vector.
  for (let index = 0; index < words.length; index++) {
    const exponent = ((words[index] ?? 0) >>> 23) & 0xff;
    if (exponent === 0xff) return -1;
    if (index > 0) into[at++] = comma;
    let value = values[index] ?? 0;
    if (value !== 0) isZero = false;
    const most = decimalsOf[exponent] ?? 0;
    if (value === 0) {
      into[at++] = zero;
      continue;
    }
    if (value < 0) {
      into[at++] = minus;
      value = -value;
    }
    at =
      value < 1 && most <= maxDecimals
        ? writeFraction(value, most, into, at)
        : writeAny(value, into, at);
  }
  return isZero ? -2 : at;
}

/** Of a value below one. */
function writeFraction(value: number, most: number, into: Buffer, at: number): number {
  let decimals = most;
  let digits = digitsOf(value, decimals);
  if (digits < 0) digits = Math.round(value * (powers[++decimals] ?? 1));
  else
    for (let fewer = digitsOf(value, decimals - 1); fewer >= 0;) {
      digits = fewer;
      decimals -= 1;
      fewer = digitsOf(value, decimals - 1);
    }
  into[at] = zero;
  into[at + 1] = point;
  const end = at + 2 + decimals;
  let place = end;
  for (; decimals >= 3; decimals -= 3) {
    const rest = (digits / 1_000) | 0;
    const triple = (digits - rest * 1_000) * 3;
    place -= 3;
    into[place] = triples[triple] ?? zero;
    into[place + 1] = triples[triple + 1] ?? zero;
    into[place + 2] = triples[triple + 2] ?? zero;
    digits = rest;
  }
  for (; decimals > 0; decimals--) {
    const rest = (digits / 10) | 0;
    into[--place] = zero + digits - rest * 10;
    digits = rest;
  }
  return end;
}

/** The value times a power of ten, if that many decimals round to it; else -1. */
function digitsOf(value: number, decimals: number): number {
  const power = powers[decimals] ?? 1;
  const digits = (value * power + 0.5) | 0;
  return Math.fround(digits / power) === value ? digits : -1;
}

/** The shortest of nine or fewer significant digits, as the engine writes it. */
function writeAny(value: number, into: Buffer, at: number): number {
  let text = String(value);
  for (let digits = 1; digits <= 9; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) !== value) continue;
    text = String(decimal);
    break;
  }
  return at + into.write(text, at);
}
