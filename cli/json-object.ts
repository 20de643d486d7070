import { InvalidArgumentError } from "commander";
import type { JsonObject } from "../core/event.ts";

/** Parses an option that is a JSON object, e.g. a filter. */
export function jsonObject(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value))
      return value as JsonObject; // parsed JSON
  } catch {
    // told below
  }
  throw new InvalidArgumentError("Write a JSON object.");
}
