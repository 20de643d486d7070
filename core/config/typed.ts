import type { z } from "zod";
import type { Path } from "./json-path.ts";
import { leavesAt } from "./schema-at.ts";
import { defOf } from "./schema-def.ts";

/**
 * The value with the texts of variables made what the schema wants there: a number or a truth. Only
 * where one `${…}` is all that was written, and no text is wanted.
 */
export function typed(schema: z.ZodType, written: unknown, value: unknown): unknown {
  const visit = (source: unknown, part: unknown, path: Path): unknown => {
    if (typeof part === "string") {
      const isVariable = typeof source === "string" && /^\$\{[^}]*\}$/.test(source);
      return isVariable ? toWanted(part, leavesAt(schema, written, path)) : part;
    }
    if (part === null || typeof part !== "object") return part;
    const from = source as Readonly<Record<PropertyKey, unknown>>; // expanding changed texts only
    if (Array.isArray(part)) return part.map((item, at) => visit(from[at], item, [...path, at]));
    return Object.fromEntries(
      Object.entries(part).map(([key, inner]) => [key, visit(from[key], inner, [...path, key])]),
    );
  };
  return visit(written, value, []);
}

function toWanted(text: string, leaves: readonly z.ZodType[]): unknown {
  const wanted = new Set(
    leaves.map(defOf).flatMap(({ type, values }) => (values ? values.map((v) => typeof v) : type)),
  );
  if (wanted.has("string") || wanted.has("enum")) return text;
  const isNumber = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(text) && Number.isFinite(Number(text));
  if (wanted.has("number") && isNumber) return Number(text);
  if (wanted.has("boolean") && (text === "true" || text === "false")) return text === "true";
  return text;
}
