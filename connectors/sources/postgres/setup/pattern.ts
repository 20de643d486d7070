import { tableOptions, type Options, type TableOptions } from "../config.ts";

/** One entry of `tables`, its name taken apart. */
export interface Entry {
  readonly options: TableOptions;
  readonly schema: Part;
  readonly table: Part;
  /** No wildcard: it names one table. */
  readonly isExact: boolean;
}

interface Part {
  readonly text: string;
  readonly isExact: boolean;
  readonly matches: (name: string) => boolean;
}

const name = /^(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)$/u;

/**
 * Takes `schema.table` apart. A part in double quotes is meant literally, and must be used for dots,
 * quotes and stars in names; upper and lower case always differ. `undefined`: not such a name.
 */
function parseEntry(options: TableOptions): Entry | undefined {
  const [, schemaText = "public", tableText] = name.exec(options.name) ?? [];
  if (tableText === undefined) return undefined;
  const schema = parsePart(schemaText);
  const table = parsePart(tableText);
  return { options, schema, table, isExact: schema.isExact && table.isExact };
}

/** The entries that are names, and the texts that are not. */
export function parseEntries(tables: Options["tables"]): {
  readonly entries: readonly Entry[];
  readonly malformed: readonly string[];
} {
  const entries: Entry[] = [];
  const malformed: string[] = [];
  for (const options of tableOptions(tables)) {
    const entry = parseEntry(options);
    if (entry) entries.push(entry);
    else malformed.push(options.name);
  }
  return { entries, malformed };
}

/** The entry that decides about a table: one that names it before a pattern, a later one before an earlier. */
export function entryFor(
  entries: readonly Entry[],
  table: { readonly schema: string; readonly name: string },
): Entry | undefined {
  const matching = entries.filter(
    (entry) => entry.schema.matches(table.schema) && entry.table.matches(table.name),
  );
  return matching.findLast(({ isExact }) => isExact) ?? matching.at(-1);
}

/** As a pattern of SQL's LIKE. */
export function toLike(part: Part): string {
  const escaped = part.text.replaceAll(/[\\%_]/g, String.raw`\$&`);
  return part.isExact ? escaped : escaped.replaceAll("*", "%");
}

function parsePart(text: string): Part {
  if (text.startsWith('"')) return exactly(text.slice(1, -1).replaceAll('""', '"'));
  if (!text.includes("*")) return exactly(text);
  const pattern = new RegExp(
    `^${text.replaceAll(/[\\^$+?.()|[\]{}/-]/g, String.raw`\$&`).replaceAll("*", ".*")}$`,
    "s",
  );
  return { text, isExact: false, matches: (candidate) => pattern.test(candidate) };
}

function exactly(text: string): Part {
  return { text, isExact: true, matches: (candidate) => candidate === text };
}
