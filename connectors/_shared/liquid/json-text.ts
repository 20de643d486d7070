import type { Json } from "sluice";

/** The object or list that a text holds as JSON, or its `null`; `undefined` for any other text. */
export function jsonIn(text: string): Json | undefined {
  if (!/^\s*(?:[[{]|null\s*$)/.test(text)) return undefined;
  try {
    return parseJson(text);
  } catch {
    // A text like any other that begins with a bracket.
    return undefined;
  }
}

/**
 * Parses JSON. A number that JavaScript cannot hold exactly comes as its text. Throws `SyntaxError`.
 */
export function parseJson(text: string): Json {
  const value = JSON.parse(text) as Json;
  // Up to 15 digits are exact.
  if (!/\d[\d.]{15}|\d[eE]/.test(text)) return value;
  // Only after the whole has parsed: so no string in it is open, and the search takes linear time.
  const exact = text.replace(stringOrNumber, (token) =>
    token.startsWith('"') || isExact(token) ? token : `"${token}"`,
  );
  return exact === text ? value : (JSON.parse(exact) as Json);
}

const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function isExact(number: string): boolean {
  return number.length <= 100 && decimal(number) === decimal(String(Number(number)));
}

/** Equal numbers have equal texts: sign, digits without zeros around them, power of ten. */
function decimal(number: string): string {
  const [, sign = "", whole = "", fraction = "", power = "0"] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(number) ?? [];
  const digits = (whole + fraction).replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  if (significant === "") return whole === "" ? "" : "0";
  const exponent = Number(power) - fraction.length + digits.length - significant.length;
  return `${sign}${significant}e${exponent}`;
}
