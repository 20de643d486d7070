import type { Metadata } from "sluice";

/** A block that is still open behind this is text. */
const maxLength = 65_536;

/**
 * Takes the front matter off a Markdown text. Only lines of the form `key: value` are read, with
 * texts, numbers, booleans and `[a, b]` as values; what YAML offers beyond that is left out.
 */
export function frontMatter(text: string): { readonly fields: Metadata; readonly body: string } {
  // The first line must look like a field: two thematic breaks with prose between them are not front matter.
  const found =
    /^---[ \t]*\n(?=[\p{L}\p{N}_-]+:|---)(?:(.*?)\n)??(?:---|\.\.\.)[ \t]*(?:\n|$)/su.exec(
      text.slice(0, maxLength),
    );
  if (!found) return { fields: {}, body: text };
  const fields: Record<string, Metadata[string]> = {};
  for (const line of (found[1] ?? "").split("\n")) {
    const colon = line.indexOf(":");
    const [key, value] = [line.slice(0, colon), line.slice(colon + 1)];
    if (colon < 0 || !/^[\p{L}\p{N}_-]+$/u.test(key) || !/^[ \t]/.test(value)) continue;
    if (/^\s*($|[|>&*!{#])/.test(value)) continue;
    fields[key] = parsed(value.trim());
  }
  return { fields, body: text.slice(found[0].length) };
}

function parsed(value: string): Metadata[string] {
  const list = /^\[(.*)\]$/.exec(value)?.[1];
  if (list !== undefined)
    return list
      .split(",")
      .map((item) => unquoted(item.trim()))
      .filter((item) => item !== "");
  if (value === "true" || value === "false") return value === "true";
  if (/^-?(0|[1-9]\d{0,14})(\.\d+)?$/.test(value)) return Number(value);
  return unquoted(value);
}

function unquoted(value: string): string {
  return /^(["'])(.*)\1$/.exec(value)?.[2] ?? value;
}
