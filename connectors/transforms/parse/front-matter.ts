import type { Metadata } from "sluice";

/**
 * Takes the front matter off a Markdown text. Only lines of the form `key: value` are read, with
 * texts, numbers, booleans and `[a, b]` as values; what YAML offers beyond that is left out.
 */
export function frontMatter(text: string): { readonly fields: Metadata; readonly body: string } {
  // The first line must look like a field: two thematic breaks with prose between them are not front matter.
  const found =
    /^---[ \t]*\n(?=[\p{L}\p{N}_-]+:|---)(?:(.*?)\n)??(?:---|\.\.\.)[ \t]*(?:\n|$)/su.exec(text);
  if (!found) return { fields: {}, body: text };
  const fields: Record<string, Metadata[string]> = {};
  for (const line of (found[1] ?? "").split("\n")) {
    const [, key, value] = /^([\p{L}\p{N}_-]+):[ \t]+(.*?)[ \t]*$/u.exec(line) ?? [];
    if (key === undefined || !value || /^[|>&*!{#]/.test(value)) continue;
    fields[key] = parsed(value);
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
