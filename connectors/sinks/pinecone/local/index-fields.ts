import { z } from "sluice";
import type { Metric } from "./call.ts";
import { anything, metric } from "./index-settings.ts";
import { invalid, unsupported } from "./refusal.ts";

const description = z.string().nullish();
const filtered = { description, filterable: z.boolean().nullish() };
const string = z
  .object({
    type: z.literal("string"),
    ...filtered,
    full_text_search: anything.nullish(),
    embed: z.unknown().optional(),
    sparse_embed: z.unknown().optional(),
  })
  .refine(
    ({ full_text_search, filterable, embed, sparse_embed }) =>
      full_text_search != null || filterable != null || embed != null || sparse_embed != null,
    "a string field needs full_text_search",
  );
const field = z.discriminatedUnion("type", [
  z.object({ type: z.literal("dense_vector"), description, dimension: z.number().int(), metric }),
  z.object({ type: z.literal("sparse_vector"), description }),
  string,
  z.object({ type: z.literal("semantic_text"), model: z.string() }),
  ...(["string_list", "float", "boolean"] as const).map((type) =>
    z.object({ type: z.literal(type), ...filtered }),
  ),
]);
type Field = z.output<typeof field>;

/** What a schema of API 2026-07 declares. Shapes only: `indexOfFields` says whether they make an index. */
export const fieldsSchema = z.object({ fields: z.record(z.string(), field) });

const maxDimension = 20_000;
const maxNameBytes = 64;
const maxStrings = 100;
const reserved = new Set(["_values", "_sparse_values"]);

/** Whether an index with these fields holds documents, which the vectors API cannot write. */
export function areOfDocuments(fields: object | null | undefined): boolean {
  return Object.keys(fields ?? {}).some((name) => !reserved.has(name));
}

/** Dimension (0 without dense vectors) and metric of an index with these fields. Refuses what makes none. */
export function indexOfFields(fields: Readonly<Record<string, Field>>): {
  readonly dimension: number;
  readonly metric: Metric;
} {
  const named = Object.entries(fields);
  if (named.length === 0) throw invalid("schema.fields must declare at least one field");
  if (areOfDocuments(fields)) for (const [name, held] of named) checkOfDocuments(name, held);
  else checkReserved(fields);
  const dense = named.flatMap(([, held]) => (held.type === "dense_vector" ? [held] : []));
  const count = (type: Field["type"]) => named.filter(([, held]) => held.type === type).length;
  if (dense.length > 1)
    throw invalid(`schema.fields has ${dense.length} dense_vector fields, not one`);
  if (count("sparse_vector") > 1)
    throw invalid(`schema.fields has ${count("sparse_vector")} sparse_vector fields, not one`);
  if (count("string") > maxStrings)
    throw invalid(`schema.fields has ${count("string")} string fields, more than ${maxStrings}`);
  const [vectors] = dense;
  if (vectors === undefined) return { dimension: 0, metric: "dotproduct" };
  if (vectors.dimension < 1 || vectors.dimension > maxDimension)
    throw invalid(`dimension must be from 1 to ${maxDimension}, got ${vectors.dimension}`);
  return { dimension: vectors.dimension, metric: vectors.metric };
}

function checkReserved(fields: Readonly<Record<string, Field>>): void {
  const { _values: dense, _sparse_values: sparse } = fields;
  if (dense !== undefined && dense.type !== "dense_vector")
    throw invalid(`field '_values' must be of type dense_vector, got ${dense.type}`);
  if (sparse !== undefined && sparse.type !== "sparse_vector")
    throw invalid(`field '_sparse_values' must be of type sparse_vector, got ${sparse.type}`);
  if (dense !== undefined && sparse !== undefined && dense.metric !== "dotproduct")
    throw invalid("an index with _sparse_values beside _values must have the metric dotproduct");
}

function checkOfDocuments(name: string, held: Field): void {
  if (reserved.has(name))
    throw invalid(`field '${name}' is of vector indexes, and there are other fields beside it`);
  if (name === "" || /^[_$]/.test(name) || Buffer.byteLength(name) > maxNameBytes)
    throw invalid(
      `field '${name}' must have 1 to ${maxNameBytes} bytes and not begin with '_' or '$'`,
    );
  switch (held.type) {
    case "dense_vector":
    case "sparse_vector":
      return;
    case "semantic_text":
      throw invalid(`semantic_text fields are not supported in schema, such as '${name}'`);
    case "string":
      if (held.embed != null || held.sparse_embed != null)
        throw unsupported(`documents that it embeds itself, such as in field '${name}'`);
      if (held.full_text_search != null) return;
      break;
    case "string_list":
    case "float":
    case "boolean":
      break;
  }
  throw invalid(
    `The schema only accepts fields used for search (field types \`dense_vector\`, \`sparse_vector\`, and \`string\` with \`full_text_search\` configuration). To use field '${name}' for filtering (field types \`boolean\`, \`float\`, \`string\`, or \`string_list\`), omit it from the schema and include it in documents. It will be indexed automatically.`,
  );
}
