import type { Json } from "sluice";
import type { Convert } from "./scalars.ts";

/**
 * Reads the text of an array as nested JSON arrays of what `element` makes of the elements; lower
 * bounds are dropped. A text that is no array stays text.
 */
export function arrayOf(element: Convert, delimiter: string): Convert {
  return (text) => parseArray(text, element, delimiter) ?? text;
}

function parseArray(text: string, element: Convert, delimiter: string): Json | undefined {
  // Bounds are told when they do not start at 1: `[2:4]={…}`.
  let at = text.startsWith("[") ? text.indexOf("=") + 1 : 0;
  if (text[at] !== "{") return undefined;
  const result: Json[] = [];
  const around: Json[][] = [];
  let list = result;
  while (at < text.length) {
    const sign = text[at];
    if (sign === "{") {
      const inner: Json[] = [];
      list.push(inner);
      around.push(list);
      list = inner;
      at += 1;
    } else if (sign === "}") {
      list = around.pop() ?? result;
      at += 1;
      if (list === result) return at === text.length ? result[0] : undefined;
    } else if (sign === delimiter) {
      at += 1;
    } else if (sign === '"') {
      const end = closingQuote(text, at + 1);
      list.push(element(unescape(text.slice(at + 1, end))));
      at = end + 1;
    } else {
      const end = endOfBare(text, at, delimiter);
      const bare = text.slice(at, end);
      // Quoted, it would be a text of four letters.
      list.push(bare === "NULL" ? null : element(bare));
      at = end;
    }
  }
  return undefined;
}

function closingQuote(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

function unescape(text: string): string {
  return text.includes("\\") ? text.replaceAll(/\\(.)/gs, "$1") : text;
}

function endOfBare(text: string, from: number, delimiter: string): number {
  let at = from;
  while (at < text.length && text[at] !== delimiter && text[at] !== "}") at += 1;
  return at;
}
