import { invalid } from "./refusal.ts";

export type Scalar = string | number | boolean;

/** Pinecone's filter language, checked. `any`: the field holds one of the values, or is a list that does. */
export type Filter =
  | { readonly op: "and" | "or"; readonly of: readonly Filter[] }
  | { readonly op: "not"; readonly of: Filter }
  | { readonly op: "any"; readonly field: string; readonly values: readonly Scalar[] }
  | { readonly op: "exists"; readonly field: string }
  | {
      readonly op: "$gt" | "$gte" | "$lt" | "$lte";
      readonly field: string;
      readonly value: number;
    };

const maxListValues = 10_000;
const maxDepth = 32;
const maxConditions = 10_000;
const maxFields = 256;

/** Throws a `Refusal` that names the field and the operator. */
export function parseFilter(filter: unknown): Filter {
  let conditions = 0;

  const group = (filter: unknown, depth: number): Filter => {
    if (depth > maxDepth) throw invalid(`the filter is nested deeper than ${maxDepth}`);
    const entries = entriesOf(filter, "the filter");
    if (entries.length === 0) throw invalid("the filter must not be empty");
    return all(
      entries.map(([key, value]) => {
        if (++conditions > maxConditions)
          throw invalid(`the filter has more than ${maxConditions} conditions`);
        if (key === "$and" || key === "$or") {
          if (!Array.isArray(value) || value.length === 0) {
            throw invalid(`the ${key} operator must be followed by a non-empty list of filters`);
          }
          const of = value.map((part) => group(part, depth + 1));
          return { op: key === "$and" ? "and" : "or", of };
        }
        if (key.startsWith("$"))
          throw invalid(`the ${key} operator is not supported at the top level of a filter`);
        return parseField(key, value);
      }),
    );
  };

  const parsed = group(filter, 1);
  const fields = fieldsOf(parsed).size;
  if (fields > maxFields)
    throw invalid(`the filter names ${fields} fields, more than ${maxFields}`);
  return parsed;
}

/** The fields a filter reads. */
export function fieldsOf(filter: Filter): ReadonlySet<string> {
  switch (filter.op) {
    case "and":
    case "or":
      return new Set(filter.of.flatMap((part) => [...fieldsOf(part)]));
    case "not":
      return fieldsOf(filter.of);
    case "any":
    case "exists":
    case "$gt":
    case "$gte":
    case "$lt":
    case "$lte":
      return new Set([filter.field]);
  }
}

function parseField(field: string, value: unknown): Filter {
  if (isScalar(value)) return condition(field, "$eq", value);
  const entries = entriesOf(value, `the condition on field '${field}'`);
  if (entries.length === 0) throw invalid(`the condition on field '${field}' must not be empty`);
  return all(entries.map(([operator, operand]) => condition(field, operator, operand)));
}

function condition(field: string, operator: string, operand: unknown): Filter {
  switch (operator) {
    case "$eq":
    case "$ne": {
      if (!isScalar(operand))
        throw wrongOperand(field, operator, "a string, boolean or number", operand);
      const equal: Filter = { op: "any", field, values: [operand] };
      return operator === "$eq" ? equal : { op: "not", of: equal };
    }
    case "$in":
    case "$nin": {
      const one: Filter = { op: "any", field, values: listOf(field, operator, operand) };
      return operator === "$in" ? one : { op: "not", of: one };
    }
    case "$gt":
    case "$gte":
    case "$lt":
    case "$lte":
      if (typeof operand !== "number" || !Number.isFinite(operand))
        throw wrongOperand(field, operator, "a number", operand);
      return { op: operator, field, value: operand };
    case "$exists": {
      if (typeof operand !== "boolean") throw wrongOperand(field, operator, "a boolean", operand);
      const there: Filter = { op: "exists", field };
      return operand ? there : { op: "not", of: there };
    }
    default:
      throw invalid(`the ${operator} operator of field '${field}' is not supported`);
  }
}

function all(of: readonly Filter[]): Filter {
  const [only] = of;
  return only !== undefined && of.length === 1 ? only : { op: "and", of };
}

function listOf(field: string, operator: string, operand: unknown): readonly Scalar[] {
  const strings = Array.isArray(operand) && operand.every((value) => typeof value === "string");
  const numbers = Array.isArray(operand) && operand.every((value) => Number.isFinite(value));
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
  // JSON has no number so large, but its parser makes 1e999 infinite.
  return typeof value === "string" || Number.isFinite(value) || typeof value === "boolean";
}

function entriesOf(value: unknown, what: string): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(`${what} must be an object, got ${JSON.stringify(value)}`);
  }
  return Object.entries(value);
}
