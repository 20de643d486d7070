import { z } from "sluice";
import type { Database } from "./database.ts";
import { invalid, unprocessable, type Refusal } from "./refusal.ts";
import type { Mirrors } from "./search/mirrors.ts";
import type { Settings } from "./settings.ts";

export type Metric = "cosine" | "dotproduct" | "euclidean";

export interface IndexRow {
  readonly id: number;
  readonly name: string;
  /** 0 on a sparse index. */
  readonly dimension: number;
  readonly metric: Metric;
  /** Its fields are of the documents API: there is nothing that the vectors API could write. */
  readonly documents: boolean;
  /** What turns texts into vectors, on an index made for a model. */
  readonly embed: { readonly model: string; readonly field: string } | undefined;
}

/** One request of the data plane, run inside one transaction. */
export interface Call {
  readonly database: Database;
  readonly index: IndexRow;
  readonly mirrors: Mirrors;
  readonly settings: Settings;
  /** In a transaction that will be rolled back: nothing of it may be remembered. */
  readonly trial: boolean;
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
  .max(512, "a namespace has at most 512 characters")
  .refine((name) => !name.includes("\0"), "a namespace must not contain the null character")
  .nullish()
  .transform((name) => name || "__default__");

/** The namespace as a body names it: answers repeat it, whichever of its two names the default one was given. */
export function givenNamespace(body: unknown): string {
  const { namespace } = Object(body) as { namespace?: unknown };
  return typeof namespace === "string" ? namespace : "";
}

export const usage = { readUnits: 1 };

/** The body, or a refusal that names the first field that is wrong. */
export function parsed<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  return checked(schema, body, invalid);
}

/** As `parsed`, for calls that answer 422 to a body of a wrong shape. */
export function shaped<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  return checked(schema, body, unprocessable);
}

function checked<T extends z.ZodType>(
  schema: T,
  body: unknown,
  refusal: (message: string) => Refusal,
): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.join(".") || "body";
  throw refusal(`${where}: ${issue?.message ?? "invalid"}`);
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
