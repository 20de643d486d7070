import type { Value } from "./database.ts";
import { invalid } from "./refusal.ts";

/** A condition on a row of `vectors`, with the values of its `?`. */
export interface Condition {
  readonly sql: string;
  readonly values: readonly Value[];
}

type Scalar = string | number | boolean;
const maxListValues = 10_000;
const maxDepth = 32;

/** Compiles Pinecone's filter language to SQL. Throws a `Refusal` that names the field and the operator. */
export function compileFilter(filter: unknown, depth = 0): Condition {
  if (depth > maxDepth) throw invalid(`the filter is nested deeper than ${maxDepth}`);
  const entries = entriesOf(filter, "the filter");
  if (entries.length === 0) throw invalid("the filter must not be empty");
  return joined(
    "AND",
    entries.map(([key, value]) => {
      if (key === "$and" || key === "$or") {
        if (!Array.isArray(value) || value.length === 0) {
          throw invalid(`the ${key} operator must be followed by a non-empty list of filters`);
        }
        const parts = value.map((part) => compileFilter(part, depth + 1));
        return joined(key === "$and" ? "AND" : "OR", parts);
      }
      if (key.startsWith("$"))
        throw invalid(`the ${key} operator is not supported at the top level of a filter`);
      return compileField(key, value);
    }),
  );
}

function compileField(field: string, value: unknown): Condition {
  if (isScalar(value)) return compare(field, "$eq", value);
  const entries = entriesOf(value, `the condition on field '${field}'`);
  if (entries.length === 0) throw invalid(`the condition on field '${field}' must not be empty`);
  return joined(
    "AND",
    entries.map(([operator, operand]) => compare(field, operator, operand)),
  );
}

function compare(field: string, operator: string, operand: unknown): Condition {
  switch (operator) {
    case "$eq":
    case "$ne": {
      if (!isScalar(operand))
        throw wrongOperand(field, operator, "a string, boolean or number", operand);
      const equal = hasAny(field, [operand]);
      return operator === "$eq" ? equal : not(equal);
    }
    case "$in":
    case "$nin": {
      const one = hasAny(field, listOf(field, operator, operand));
      return operator === "$in" ? one : not(one);
    }
    case "$gt":
    case "$gte":
    case "$lt":
    case "$lte": {
      if (typeof operand !== "number") throw wrongOperand(field, operator, "a number", operand);
      const sign = { $gt: ">", $gte: ">=", $lt: "<", $lte: "<=" }[operator];
      return has(field, `f.type IN ('integer', 'real') AND f.value ${sign} ?`, [operand]);
    }
    case "$exists": {
      if (typeof operand !== "boolean") throw wrongOperand(field, operator, "a boolean", operand);
      const there = has(field, "1", []);
      return operand ? there : not(there);
    }
    default:
      throw invalid(`the ${operator} operator of field '${field}' is not supported`);
  }
}

/** The field holds one of the values, or is a list that does. No coercion: `"1"` is not `1`. */
function hasAny(field: string, values: readonly Scalar[]): Condition {
  const conditions: Condition[] = [];
  const texts = values.filter((value) => typeof value === "string");
  if (texts.length > 0) {
    // One JSON parameter carries any number of texts: SQLite limits the count of parameters.
    const list = JSON.stringify(texts);
    const among = "IN (SELECT value FROM json_each(?))";
    conditions.push({
      sql: `(f.type = 'text' AND f.value ${among} OR f.type = 'array' AND EXISTS (SELECT 1 FROM json_each(f.value) WHERE value ${among}))`,
      values: [list, list],
    });
  }
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.length > 0) {
    conditions.push({
      sql: "(f.type IN ('integer', 'real') AND f.value IN (SELECT value FROM json_each(?)))",
      values: [JSON.stringify(numbers)],
    });
  }
  for (const flag of values.filter((value) => typeof value === "boolean")) {
    conditions.push({ sql: `f.type = '${flag}'`, values: [] });
  }
  if (conditions.length === 0) return { sql: "0", values: [] };
  const any = joined("OR", conditions);
  return has(field, any.sql, any.values);
}

// Keys are compared as values, never put into a JSON path: a path cannot express every key.
function has(field: string, sql: string, values: readonly Value[]): Condition {
  return {
    sql: `EXISTS (SELECT 1 FROM json_each(v.metadata) f WHERE f.key = ? AND (${sql}))`,
    values: [field, ...values],
  };
}

function joined(word: "AND" | "OR", parts: readonly Condition[]): Condition {
  return {
    sql: `(${parts.map((part) => part.sql).join(` ${word} `)})`,
    values: parts.flatMap((part) => part.values),
  };
}

function not(condition: Condition): Condition {
  return { sql: `NOT ${condition.sql}`, values: condition.values };
}

function listOf(field: string, operator: string, operand: unknown): Scalar[] {
  const strings = Array.isArray(operand) && operand.every((value) => typeof value === "string");
  const numbers = Array.isArray(operand) && operand.every((value) => typeof value === "number");
  if (!strings && !numbers)
    throw wrongOperand(field, operator, "a list of strings or a list of numbers", operand);
  if (operand.length > maxListValues) {
    throw invalid(
      `the ${operator} operator of field '${field}' has ${operand.length} values, more than ${maxListValues}`,
    );
  }
  return operand;
}

function wrongOperand(field: string, operator: string, wanted: string, got: unknown) {
  return invalid(
    `the ${operator} operator must be followed by ${wanted}, got ${JSON.stringify(got)} instead for field '${field}'`,
  );
}

function isScalar(value: unknown): value is Scalar {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function entriesOf(value: unknown, what: string): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`${what} must be an object, got ${JSON.stringify(value)}`);
  }
  return Object.entries(value);
}
