import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { Json, JsonObject } from "sluice";
import type { Breathe } from "../../_shared/text/breathe.ts";
import type { Options } from "./config.ts";
import { isObject, linesOf, parsedJson } from "./json.ts";
import { damaged, tooLarge } from "./refusals.ts";

/** One line of a file: a record of its own. */
export interface Row {
  /** Names it among the rows of its file, the same however the others change. */
  readonly key: string;
  readonly fields: JsonObject;
  readonly text: string;
}

/** Media types whose files are rows. */
export function isRows(mediaType: string): boolean {
  return isCsv(mediaType) || isNdjson(mediaType);
}

/**
 * The rows of a CSV, TSV or NDJSON file, one after the other, all of them or none: a file of which one row
 * cannot be read would else delete that row's document.
 */
export async function rowsOf(
  text: string,
  file: { readonly address: string; readonly mediaType: string },
  {
    options,
    breathe,
    grow,
  }: {
    readonly options: NonNullable<Options["rows"]>;
    readonly breathe: Breathe;
    readonly grow: (length: number) => void;
  },
): Promise<readonly Row[]> {
  const { address, mediaType } = file;
  const { maxColumns } = options;
  const delimiter = options.delimiter ?? (/tab-separated/.test(mediaType) ? "\t" : ",");
  const read = isCsv(mediaType)
    ? csv(text, address, { delimiter, maxColumns })
    : ndjson(text, address);
  const rows: Row[] = [];
  const times = new Map<string, number>();
  for await (const value of read) {
    await breathe();
    if (rows.length === options.maxRows)
      throw tooLarge(address, `more than ${options.maxRows} rows`, "rows.maxRows");
    const fields = isObject(value) ? value : { value };
    const name = keyOf(fields, options.key, () => `"${address}", row ${rows.length + 1}`, address);
    const time = (times.get(name) ?? 0) + 1;
    times.set(name, time);
    const wanted = options.text
      ? Object.fromEntries(
          options.text.flatMap((name) =>
            Object.hasOwn(fields, name) ? [[name, fields[name] ?? null]] : [],
          ),
        )
      : fields;
    rows.push({
      // Also a name that ends like one that comes again is told apart from it.
      key: time === 1 && !/~\d+$/.test(name) ? name : `${name}~${time}`,
      fields,
      text: await linesOf(isObject(value) ? wanted : value, { breathe, grow }),
    });
  }
  return rows;
}

function keyOf(
  fields: JsonObject,
  names: readonly string[] | undefined,
  place: () => string,
  address: string,
): string {
  if (names === undefined)
    return createHash("sha256").update(JSON.stringify(fields)).digest("hex").slice(0, 16);
  const values = names.map((name) => {
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (value === undefined || value === null || value === "")
      throw damaged(address, `${place()} has no "${name}", which is to name it`);
    return typeof value === "string" ? value : JSON.stringify(value);
  });
  return values.length === 1 ? (values[0] ?? "") : JSON.stringify(values);
}

async function* csv(
  text: string,
  address: string,
  { delimiter, maxColumns }: { readonly delimiter: string; readonly maxColumns: number },
): AsyncGenerator<Json> {
  const { parse } = await import("csv-parse");
  const parser = Readable.from(pieces(text)).pipe(
    parse({
      delimiter,
      skip_empty_lines: true,
      columns: (header: readonly string[]) => {
        if (header.length > maxColumns)
          throw tooLarge(address, `${header.length} columns`, "rows.maxColumns");
        return named(header);
      },
    }),
  );
  try {
    for await (const row of parser) yield row as Json;
  } catch (error) {
    const { code = "", lines } = error as { code?: string; lines?: number };
    if (!code.startsWith("CSV_")) throw error;
    throw damaged(address, `line ${lines} is not as its header says (${code})`);
  }
}

/** Each column has a name of its own, whatever the header forgot. */
function named(header: readonly string[]): string[] {
  const seen = new Set<string>();
  return header.map((given, at) => {
    const name = given.trim();
    const unique = name === "" || seen.has(name) ? `column ${at + 1}` : name;
    seen.add(unique);
    return unique;
  });
}

async function* ndjson(text: string, address: string): AsyncGenerator<Json> {
  let number = 0;
  for (let from = 0; from < text.length;) {
    const end = text.indexOf("\n", from);
    const to = end === -1 ? text.length : end;
    const line = text.slice(from, to).trim();
    number += 1;
    from = to + 1;
    if (line !== "") yield parsedJson(line, address, `line ${number}: `);
  }
}

function* pieces(text: string): Generator<string> {
  for (let from = 0; from < text.length; from += 65_536) yield text.slice(from, from + 65_536);
}

function isCsv(mediaType: string): boolean {
  return ["text/csv", "application/csv", "text/tab-separated-values"].includes(mediaType);
}

function isNdjson(mediaType: string): boolean {
  return [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
  ].includes(mediaType);
}
