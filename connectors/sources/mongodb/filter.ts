import { field, fields, type, type Value } from "./bson.ts";
import { compared, isNaNValue } from "./compare.ts";

/** A query as `find` takes it, of the operators below; values in plain or Extended JSON. */
export type Filter = Readonly<Record<string, unknown>>;

/** Whether a document matches. */
export type Matcher = (document: Value) => boolean;

/** Where a path leads: values, or nowhere. */
type Found = Value | undefined;
type Test = (found: Found) => boolean;

const comparisons = ["$eq", "$gt", "$gte", "$lt", "$lte"] as const;
const operators = [...comparisons, "$ne", "$in", "$nin", "$exists", "$not"] as const;
const extended = new Set(
  "$oid $date $numberInt $numberLong $numberDouble $numberDecimal $binary $uuid $timestamp".split(
    " ",
  ),
);

/**
 * Makes a matcher that agrees with the server's `find`, so that a copy may leave the choice to the server
 * while a stream, which must not filter there, makes it here. `encode` turns a value of the filter into BSON.
 */
export function matcherOf(filter: Filter, encode: (value: unknown) => Value): Matcher {
  const parts = Object.entries(filter).map(([name, wanted]): Matcher => {
    if (!isGroup(name)) return conditionOf(name.split("."), wanted, encode);
    const inner = (wanted as readonly Filter[]).map((one) => matcherOf(one, encode));
    switch (name) {
      case "$and":
        return (document) => inner.every((matches) => matches(document));
      case "$or":
        return (document) => inner.some((matches) => matches(document));
      case "$nor":
        return (document) => !inner.some((matches) => matches(document));
    }
  });
  return (document) => parts.every((matches) => matches(document));
}

/** What is wrong with a filter, if anything: it has no operator that the two sides could judge differently. */
export function problemOf(filter: unknown): string | undefined {
  if (!isPlain(filter)) return "is no object";
  for (const [name, wanted] of Object.entries(filter)) {
    if (isGroup(name)) {
      if (!Array.isArray(wanted) || wanted.length === 0) return `\`${name}\` takes a list`;
      const inner = wanted.map(problemOf).find((problem) => problem !== undefined);
      if (inner !== undefined) return inner;
      continue;
    }
    if (name.split(".").some((part) => part === "" || part.startsWith("$") || /^\d+$/.test(part)))
      return `"${name}" is no field path and none of $and, $or, $nor (places in an array are not supported)`;
    const problem = problemOfCondition(name, wanted);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** The fields it reads, as paths. */
export function pathsOf(filter: Filter): readonly string[] {
  return Object.entries(filter).flatMap(([name, wanted]) =>
    isGroup(name) ? (wanted as readonly Filter[]).flatMap(pathsOf) : [name],
  );
}

function problemOfCondition(path: string, wanted: unknown): string | undefined {
  if (!isOperators(wanted))
    return isScalar(wanted)
      ? undefined
      : `"${path}" is compared with an object or list: name its fields`;
  for (const [operator, operand] of Object.entries(wanted)) {
    if (!operators.some((one) => one === operator))
      return `"${path}" uses \`${operator}\`; there are ${operators.join(", ")}`;
    if (operator === "$exists") {
      if (typeof operand !== "boolean") return `"${path}": \`$exists\` takes true or false`;
    } else if (operator === "$not") {
      if (!isOperators(operand)) return `"${path}": \`$not\` takes operators`;
      const inner = problemOfCondition(path, operand);
      if (inner !== undefined) return inner;
    } else if (operator === "$in" || operator === "$nin") {
      if (!Array.isArray(operand) || !operand.every(isScalar))
        return `"${path}": \`${operator}\` takes a list of values`;
    } else if (!isScalar(operand)) return `"${path}": \`${operator}\` takes a value`;
  }
  return undefined;
}

function conditionOf(
  path: readonly string[],
  wanted: unknown,
  encode: (value: unknown) => Value,
): Matcher {
  if (!isOperators(wanted))
    return (document) => anyAt(document, path, comparison("$eq", encode(wanted)));
  const all = Object.entries(wanted).map(([operator, operand]): Matcher => {
    const any =
      (...tests: readonly Test[]): Matcher =>
      (document) =>
        anyAt(document, path, (found) => tests.some((test) => test(found)));
    const not =
      (matches: Matcher): Matcher =>
      (document) =>
        !matches(document);
    const equals = (values: unknown) =>
      (values as readonly unknown[]).map((value) => comparison("$eq", encode(value)));
    switch (operator as (typeof operators)[number]) {
      case "$exists": {
        const exists = any((found) => found !== undefined);
        return operand === true ? exists : not(exists);
      }
      case "$in":
        return any(...equals(operand));
      case "$nin":
        return not(any(...equals(operand)));
      case "$ne":
        return not(any(...equals([operand])));
      case "$not":
        return not(conditionOf(path, operand, encode));
      case "$eq":
      case "$gt":
      case "$gte":
      case "$lt":
      case "$lte":
        return any(comparison(operator as (typeof comparisons)[number], encode(operand)));
    }
  });
  return (document) => all.every((matches) => matches(document));
}

/** Whether the test holds of anything at the path: arrays stand for their items as well as for themselves. */
function anyAt(document: Value, [name = "", ...rest]: readonly string[], test: Test): boolean {
  const found = field(document, name);
  if (rest.length === 0) {
    if (found?.type !== type.array) return test(found);
    for (const [, item] of fields(found)) if (test(item)) return true;
    return test(found);
  }
  if (found?.type === type.object) return anyAt(found, rest, test);
  if (found?.type !== type.array) return test(undefined);
  for (const [, item] of fields(found))
    if (item.type === type.object && anyAt(item, rest, test)) return true;
  return false;
}

function comparison(operator: (typeof comparisons)[number], wanted: Value): Test {
  const allowsEqual = operator !== "$gt" && operator !== "$lt";
  if (wanted.type === type.null)
    return (found) =>
      allowsEqual &&
      (found === undefined || found.type === type.null || found.type === type.undefined);
  if (isNaNValue(wanted)) return (found) => allowsEqual && found !== undefined && isNaNValue(found);
  return (found) => {
    const order = found && compared(found, wanted);
    if (order === undefined) return false;
    if (order === 0) return allowsEqual;
    return order > 0 ? operator.startsWith("$gt") : operator.startsWith("$lt");
  };
}

function isGroup(name: string): name is "$and" | "$or" | "$nor" {
  return name === "$and" || name === "$or" || name === "$nor";
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isExtended(value: unknown): boolean {
  return isPlain(value) && extended.has(Object.keys(value)[0] ?? "");
}

function isOperators(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isPlain(value) || isExtended(value)) return false;
  const [first] = Object.keys(value);
  return first?.startsWith("$") === true;
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value !== "object" || isExtended(value);
}
