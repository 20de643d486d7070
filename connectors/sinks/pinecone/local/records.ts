import { z } from "sluice";
import { namespaceName, parsed, type Answer, type IndexRow } from "./call.ts";
import { checkId, limits, metadata, topK } from "./check.ts";
import { similarities, textsToRank } from "./inference.ts";
import { query } from "./query.ts";
import { invalid } from "./refusal.ts";
import type { RecordsCall } from "./routes.ts";
import { sparseOfText } from "./text-model.ts";
import { upsert } from "./write.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Embeds one field of each record and stores all fields as metadata. The body is a record a line. */
export async function upsertRecords(call: RecordsCall): Promise<Answer> {
  const { index, subject, text } = call;
  const embed = embedOf(index);
  const records = recordsOf(text);
  const texts = records.map(({ id, fields }) => {
    const text = Object.hasOwn(fields, embed.field) ? fields[embed.field] : undefined;
    if (typeof text !== "string" || text === "")
      throw invalid(`Record '${id}' has no text in field '${embed.field}', which is embedded`);
    return text;
  });
  const vectors = await embedded(call, texts, "passage");
  const body = {
    namespace: parsed(namespaceName, subject),
    vectors: records.map(({ id, fields }, at) => ({ id, ...vectors.parts[at], metadata: fields })),
  };
  const { written } = await call.write(upsert, body);
  return { status: 201, ...(written !== undefined && { written }) };
}

const searchBody = z.object({
  query: z.object({
    top_k: topK,
    filter: z.unknown().optional(),
    inputs: z.looseObject({ text: z.string().nullish() }).nullish(),
    vector: z
      .object({
        values: z.unknown().optional(),
        sparse_values: z.array(z.number()).nullish(),
        sparse_indices: z.array(z.number()).nullish(),
      })
      .nullish(),
    id: z.string().nullish(),
    match_terms: z.unknown().optional(),
  }),
  fields: z.array(z.string()).nullish(),
  rerank: z
    .object({
      model: z.string(),
      rank_fields: z.array(z.string()).min(1),
      top_n: z.number().int().min(1).nullish(),
      query: z.string().nullish(),
      parameters: z.looseObject({}).nullish(),
    })
    .nullish(),
});

interface Hit {
  readonly _id: string;
  readonly _score: number;
  readonly fields: Fields;
}

export async function searchRecords(call: RecordsCall): Promise<Answer> {
  const { query: asked, fields, rerank } = parsed(searchBody, call.body);
  const text = asked.inputs?.text;
  if ([text, asked.vector, asked.id].filter((one) => one != null).length !== 1)
    throw invalid("query takes exactly one of inputs.text, vector and id");
  if (asked.match_terms != null) throw invalid("match_terms is not supported by this server");
  if (rerank != null) textsToRank(rerank.model, [], rerank.rank_fields);
  const embedding = text == null ? undefined : await embedded(call, [text], "query");
  const body = {
    namespace: parsed(namespaceName, call.subject),
    topK: asked.top_k,
    filter: asked.filter,
    includeMetadata: true,
    ...(asked.id != null && { id: asked.id }),
    ...questionOf(embedding?.parts[0] ?? partsOf(asked.vector)),
  };
  const { body: found, indexed } = call.read(query, body);
  const { matches } = found as {
    readonly matches: readonly { id: string; score: number; metadata?: Fields }[];
  };
  const hits = matches.map(({ id, score, metadata = {} }) => ({
    _id: id,
    _score: score,
    fields: metadata,
  }));
  const ranked = rerank == null ? hits : await reranked(call, hits, rerank, text);
  return {
    body: {
      result: {
        hits: ranked.map((hit) => ({
          ...hit,
          fields: fields == null || fields.includes("*") ? hit.fields : picked(hit.fields, fields),
        })),
      },
      usage: {
        read_units: 1,
        ...(embedding && { embed_total_tokens: embedding.tokens }),
        ...(rerank != null && { rerank_units: 1 }),
      },
    },
    ...(indexed !== undefined && { indexed }),
  };
}

async function reranked(
  { model }: RecordsCall,
  hits: readonly Hit[],
  options: NonNullable<z.output<typeof searchBody>["rerank"]>,
  text: string | null | undefined,
): Promise<readonly Hit[]> {
  const query = options.query ?? text;
  if (query == null) throw invalid("rerank needs a query: the search has no inputs.text");
  const fields = hits.map((hit) => hit.fields);
  const scores = await similarities(
    model,
    query,
    textsToRank(options.model, fields, options.rank_fields),
  );
  return hits
    .map((hit, at) => ({ ...hit, _score: scores[at] ?? 0 }))
    .toSorted((a, b) => b._score - a._score)
    .slice(0, options.top_n ?? undefined);
}

/** Values or sparse values of each text, as an upsert takes them. */
async function embedded(
  { index, model }: RecordsCall,
  texts: readonly string[],
  input: "passage" | "query",
) {
  const { dimension } = index;
  embedOf(index);
  if (dimension === 0) {
    const parts = texts.map((text) => ({ sparseValues: sparseOfText(text) }));
    return { parts, tokens: parts.reduce((sum, one) => sum + one.sparseValues.indices.length, 0) };
  }
  const { vectors, tokens } = await model.embed(texts, { dimension, input, truncate: "END" });
  return { parts: vectors.map((vector) => ({ values: Array.from(vector) })), tokens };
}

function questionOf(parts: object) {
  const { values, sparseValues } = parts as { values?: unknown; sparseValues?: unknown };
  return {
    ...(values != null && { vector: values }),
    ...(sparseValues != null && { sparseVector: sparseValues }),
  };
}

function partsOf(vector: z.output<typeof searchBody>["query"]["vector"]): object {
  const { values, sparse_indices: indices, sparse_values } = vector ?? {};
  const sparse = indices != null && { sparseValues: { indices, values: sparse_values } };
  return { values, ...sparse };
}

function recordsOf(text: string): { readonly id: string; readonly fields: Fields }[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0 || lines.length > limits.records)
    throw invalid(`records are 1 to ${limits.records} lines of JSON, got ${lines.length}`);
  return lines.map((line, at) => {
    const { _id, id, ...fields } = parsed(metadata, jsonOf(line, at));
    const given = _id ?? id;
    if (given === undefined) throw invalid(`the record in line ${at + 1} has no _id`);
    checkId(given);
    return { id: given, fields };
  });
}

function jsonOf(line: string, at: number): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw invalid(`line ${at + 1} is not JSON: ${(error as SyntaxError).message}`);
  }
}

function embedOf({ name, embed }: IndexRow): NonNullable<IndexRow["embed"]> {
  if (embed !== undefined) return embed;
  throw invalid(`Index '${name}' has no integrated embedding: create it for a model`);
}

function picked(fields: Fields, names: readonly string[]): Fields {
  return Object.fromEntries(
    names.flatMap((name) => (Object.hasOwn(fields, name) ? [[name, fields[name]]] : [])),
  );
}
