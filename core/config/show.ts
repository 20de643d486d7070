import type { z } from "zod";
import { defOf } from "./schema-def.ts";

/** For messages: as JSON, short, and without what stands before the `@` of a URL. */
export function show(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) =>
    typeof part === "string" ? withoutUser(part) : part,
  );
  return cut(text ?? "nothing");
}

/**
 * A value that a schema refuses, for messages. What it is in full only where the schema, whose
 * `leaves` may stand there, wants a text, a number or the like: anything else may be a secret in the
 * wrong place (Invariant 11), and its kind is what helps. Secrets in their place were replaced before.
 */
export function shownAt(leaves: readonly z.ZodType[], value: unknown): string {
  const isOpen = leaves.some((leaf) => scalars.has(defOf(leaf).type));
  if (Array.isArray(value))
    return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (value !== null && typeof value === "object") {
    const keys = Object.keys(value);
    return keys.length === 0 ? "an empty object" : cut(`an object with ${keys.join(", ")}`);
  }
  if (value === null || value === undefined) return show(value);
  if (typeof value !== "string") return isOpen ? show(value) : `a ${typeof value}`;
  if (!isOpen) return "a text";
  return value.length > longest ? `a text of ${value.length} characters` : show(value);
}

const longest = 60;
const scalars = new Set(["string", "number", "boolean", "enum", "literal", "template_literal"]);

/** A URL without what stands before its `@`; `redis:/user:password@host` too, and `user:password@host`. */
export function withoutUser(text: string): string {
  return /(?::|\/\/).*@/s.test(text)
    ? text.replace(/^([a-z][a-z0-9+.-]*:\/+|\/\/)?.*@/is, "$1***@")
    : text;
}

function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
