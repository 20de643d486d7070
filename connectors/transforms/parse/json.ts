import type { Json, JsonObject } from "sluice";
import type { Breathe } from "../../_shared/text/breathe.ts";
import { damaged } from "./refusals.ts";

/** What lies deeper is one line of JSON. */
const maxDepth = 16;

/** Throws `PoisonError` for what is no JSON; says where, not what. */
export function parsedJson(text: string, address: string, where = ""): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // The engine's message shows a piece of the file.
    throw damaged(address, `${where}it is not JSON`);
  }
}

/** A value as lines that can be read and embedded: `author.name: Ada`. Order and names are the file's. */
export async function linesOf(value: Json, breathe: Breathe): Promise<string> {
  const lines: string[] = [];
  // A stack of our own: a file may nest as deep as it likes.
  const left: { readonly path: string; readonly value: Json; readonly depth: number }[] = [
    { path: "", value, depth: 0 },
  ];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    await breathe();
    const { path, value, depth } = next;
    const isLeaf = value === null || typeof value !== "object" || depth === maxDepth;
    if (isLeaf || Object.keys(value).length === 0) {
      if (value !== null && value !== "" && !(typeof value === "object" && !isLeaf))
        lines.push(path === "" ? shown(value) : `${path}: ${shown(value)}`);
      continue;
    }
    const below = isMany(value)
      ? value.map((item, at) => [`${path}[${at}]`, item] as const)
      : Object.entries(value).map(
          ([name, item]) => [path === "" ? name : `${path}.${name}`, item] as const,
        );
    for (const [path, item] of below.toReversed())
      left.push({ path, value: item, depth: depth + 1 });
  }
  return lines.join("\n");
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
