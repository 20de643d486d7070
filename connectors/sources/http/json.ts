import { invalid } from "./refusal.ts";

/** Stages walk through data by recursion: nobody from outside decides how deep. */
const maxDepth = 100;

/** Throws `Refusal` 400, with the place where it is no JSON. */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`the body is not JSON: ${(error as SyntaxError).message}`);
  }
  if (isDeeper(value, maxDepth)) throw invalid(`the body nests deeper than ${maxDepth} levels.`);
  return value;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1));
}
