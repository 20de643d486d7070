import { z } from "sluice";
import type { Database } from "./database.ts";
import { invalid } from "./refusal.ts";

export type Metric = "cosine" | "dotproduct" | "euclidean";

export interface IndexRow {
  readonly id: number;
  readonly name: string;
  readonly dimension: number;
  readonly metric: Metric;
}

/** One request of the data plane, run inside one transaction. */
export interface Call {
  readonly database: Database;
  readonly index: IndexRow;
  readonly query: URLSearchParams;
  readonly body: unknown;
  /** The namespace, where the path names it. */
  readonly subject: string;
}

export interface Answer {
  readonly status?: number;
  readonly body?: unknown;
  /** LSN this write was given. */
  readonly written?: number;
  /** LSN up to which this read has seen the namespace. */
  readonly indexed?: number;
}

export type Handler = (call: Call) => Answer;

/** `""` and `__default__` are one namespace. */
export const namespaceName = z
  .string()
  .nullish()
  .transform((name) => name || "__default__");

export const usage = { readUnits: 1 };

/** The body, or a refusal that names the first field that is wrong. */
export function parsed<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.join(".") || "body";
  throw invalid(`${where}: ${issue?.message ?? "invalid"}`);
}

/** An integer of a query parameter, within bounds. */
export function limitOf(
  query: URLSearchParams,
  name: string,
  bounds: { readonly standard: number; readonly max: number },
): number {
  const text = query.get(name);
  if (text === null || text === "") return bounds.standard;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > bounds.max) {
    throw invalid(`${name} must be an integer from 1 to ${bounds.max}, got '${text}'`);
  }
  return value;
}
