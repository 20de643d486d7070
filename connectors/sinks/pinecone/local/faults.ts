import { validateHeaderName, validateHeaderValue } from "node:http";
import { z } from "sluice";
import { indexName } from "./index-settings.ts";
import { operations } from "./routes.ts";

/** What a test does to a request instead of answering it truly. `reset-after` applies it first. */
export type Fault =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
    }
  | "reset-before"
  | "reset-after"
  | "hang"
  | Disturbance;

/** The request is answered truly, but not well. */
export interface Disturbance {
  /** Wait before it is applied. */
  readonly delayMs?: number;
  readonly truncate?: boolean;
  readonly slowBodyMs?: number;
  /** No headers of ours: neither LSNs nor the request's id. */
  readonly dropHeaders?: boolean;
  /** The LSN that reads report is one lower. */
  readonly staleLsn?: boolean;
}

const ms = z.number().int().min(0).max(600_000);

/** What Node would refuse to send, when it is too late to say so. */
const isAllowed = (check: () => void): boolean => {
  try {
    check();
    return true;
  } catch {
    return false;
  }
};
const headerName = z
  .string()
  .refine((name) => isAllowed(() => validateHeaderName(name)), "is no name of a header");
const headerValue = z
  .string()
  .refine((value) => isAllowed(() => validateHeaderValue("x", value)), "is no value of a header");

/** A rule as POST /_admin/faults takes it. All that `match` names must hold. */
export const ruleSchema = z.strictObject({
  match: z
    .strictObject({
      method: z.enum(["GET", "POST", "PATCH", "DELETE"]).optional(),
      /** A part of the path. */
      path: z.string().optional(),
      operation: z
        .string()
        .refine((name) => operations.has(name), `is none of ${[...operations].join(", ")}`)
        .optional(),
      index: indexName.optional(),
      /** The default one has two names: "" and `__default__`. */
      namespace: z
        .string()
        .max(512)
        .transform((name) => name || "__default__")
        .optional(),
      /** A text that the body or the query holds: an id, a value of metadata. */
      contains: z.string().min(1).optional(),
    })
    .default({}),
  /** Of the matching requests: only the nth, only the first ones, only every nth, or each with this probability. */
  nth: z.number().int().min(1).optional(),
  first: z.number().int().min(1).optional(),
  every: z.number().int().min(1).optional(),
  probability: z.number().min(0).max(1).optional(),
  seed: z.number().int().default(1),
  action: z.union([
    z.enum(["reset-before", "reset-after", "hang"]),
    z.strictObject({
      status: z.number().int().min(200).max(599),
      headers: z.record(headerName, headerValue).optional(),
      body: z.unknown().optional(),
    }),
    z.strictObject({
      delayMs: ms.optional(),
      truncate: z.boolean().optional(),
      slowBodyMs: ms.optional(),
      dropHeaders: z.boolean().optional(),
      staleLsn: z.boolean().optional(),
    }),
  ]),
});
export type Rule = z.output<typeof ruleSchema>;

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly operation: string | undefined;
  readonly index: string | undefined;
  readonly namespace: string | undefined;
}

export interface Faults {
  readonly add: (rule: Rule) => number;
  readonly list: () => readonly {
    readonly id: number;
    readonly matched: number;
    readonly rule: Rule;
  }[];
  readonly clear: () => void;
  /** The action of the first rule that holds. */
  readonly of: (asked: Asked) => Fault | undefined;
}

const maxRules = 1_000;

export function openFaults(): Faults {
  const rules = new Map<
    number,
    { matched: number; readonly rule: Rule; readonly chance: () => number }
  >();
  let made = 0;
  return {
    add: (rule) => {
      if (rules.size >= maxRules) throw new RangeError(`there are ${maxRules} rules already`);
      rules.set(++made, { matched: 0, rule, chance: random(rule.seed) });
      return made;
    },
    list: () => [...rules].map(([id, { matched, rule }]) => ({ id, matched, rule })),
    clear: () => rules.clear(),
    of: (asked) => {
      for (const held of rules.values()) {
        if (!matches(held.rule.match, asked)) continue;
        held.matched++;
        if (isChosen(held.rule, held.matched, held.chance)) return toFault(held.rule.action);
      }
      return undefined;
    },
  };
}

function matches(match: Rule["match"], asked: Asked): boolean {
  const { contains, path, ...exact } = match;
  if (path !== undefined && !asked.path.includes(path)) return false;
  if (contains !== undefined && !isIn(contains, asked)) return false;
  return Object.entries(exact).every(
    ([name, value]) => value === undefined || asked[name as keyof typeof exact] === value,
  );
}

function isIn(text: string, { body, path }: Asked): boolean {
  const written = JSON.stringify(text).slice(1, -1);
  const query = path.slice(path.indexOf("?") + 1);
  return body.includes(written) || query.includes(encodeURIComponent(text));
}

function isChosen(rule: Rule, count: number, chance: () => number): boolean {
  if (rule.nth !== undefined && count !== rule.nth) return false;
  if (rule.first !== undefined && count > rule.first) return false;
  if (rule.every !== undefined && count % rule.every !== 0) return false;
  return rule.probability === undefined || chance() < rule.probability;
}

/** Without what was left out: the types of a fault have no `undefined` values. */
function toFault(action: Rule["action"]): Fault {
  if (typeof action === "string") return action;
  return Object.fromEntries(
    Object.entries(action).filter(([, value]) => value !== undefined),
  ) as Fault;
}

/** Numbers from 0 to 1 that a seed repeats (mulberry32). */
function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
