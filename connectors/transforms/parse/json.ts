import type { Json, JsonObject } from "sluice";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { damaged } from "./refusals.ts";

/** What lies deeper is one line of JSON. */
const maxDepth = 16;
/** Lines become one string, which is smaller, as soon as they are so many. */
const linesAtOnce = 1_024;

/** Throws `PoisonError` for what is no JSON; says where, not what. */
export function parsedJson(text: string, address: string, where = ""): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // The engine's message shows a piece of the file.
    throw damaged(address, `${where}it is not JSON`);
  }
}

/** Where the walk through a value stands, at one level of it. */
interface Level {
  readonly path: string;
  readonly value: JsonObject | readonly Json[];
  /** Of an object. */
  readonly names: readonly string[];
  at: number;
}

/**
 * A value as lines that can be read and embedded: `author.name: Ada`. Order and names are the file's. Each line
 * has the whole path, so few bytes may become many: `grow` is told how many, and throws when they are too many.
 */
export async function linesOf(
  value: Json,
  { breathe, grow }: { readonly breathe: Breathe; readonly grow: (length: number) => void },
): Promise<string> {
  const parts: string[] = [];
  let lines: string[] = [];
  // A stack of our own: a file may nest as deep as it likes. No more than the way down: it may be as wide, too.
  const levels: Level[] = [];
  const visit = (path: string, value: Json) => {
    if (value !== null && typeof value === "object" && levels.length < maxDepth) {
      levels.push({ path, value, names: isMany(value) ? [] : Object.keys(value), at: 0 });
    } else if (value !== null && value !== "") {
      const line = path === "" ? shown(value) : `${path}: ${shown(value)}`;
      grow(line.length + 1);
      lines.push(line);
      if (lines.length < linesAtOnce) return;
      parts.push(lines.join("\n"));
      lines = [];
    }
  };
  visit("", value);
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    await breathe();
    const { path, value, names } = level;
    const at = level.at++;
    if (isMany(value)) {
      if (at < value.length) visit(`${path}[${at}]`, value[at] ?? null);
      else levels.pop();
    } else {
      const name = names[at];
      if (name !== undefined) visit(path === "" ? name : `${path}.${name}`, value[name] ?? null);
      else levels.pop();
    }
  }
  return [...parts, ...(lines.length > 0 ? [lines.join("\n")] : [])].join("\n");
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !isMany(value);
}

function isMany(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function shown(value: Json): string {
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value);
  } catch {
    // Nested deeper than the engine can write.
    return "";
  }
}
