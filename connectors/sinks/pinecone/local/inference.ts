import { z } from "sluice";
import { parsed, type Answer } from "./call.ts";
import { dimensionOf, embedModel, localDimensions, maxInputs, rerankModel } from "./models.ts";
import { invalid } from "./refusal.ts";
import type { InferenceCall } from "./routes.ts";
import { normOf } from "./row.ts";
import { sparseOfText, type TextModel } from "./text-model.ts";

const input = z
  .union([z.string().transform((text) => ({ text })), z.looseObject({})])
  .superRefine((given, context) => {
    for (const field of Object.keys(given))
      if (field !== "text") context.addIssue(`has no field '${field}': give its text as 'text'`);
  })
  .pipe(z.object({ text: z.string() }))
  .transform(({ text }) => text);
const embedBody = z.object({
  model: z.string(),
  inputs: z.array(input).min(1).max(maxInputs),
  parameters: z
    .looseObject({
      input_type: z.enum(["query", "passage"]).nullish(),
      truncate: z.enum(["END", "NONE"]).nullish(),
      dimension: z.number().int().nullish(),
    })
    .nullish(),
});

export async function embedTexts({ model, body }: InferenceCall): Promise<Answer> {
  const { model: name, inputs, parameters } = parsed(embedBody, body);
  const hosted = embedModel(name, "inference");
  const dimension = dimensionOf(hosted, parameters?.dimension);
  if (dimension === undefined) {
    const data = inputs.map((text) => {
      const { indices, values } = sparseOfText(text);
      return { vector_type: "sparse", sparse_indices: indices, sparse_values: values };
    });
    const total_tokens = data.reduce((sum, { sparse_indices }) => sum + sparse_indices.length, 0);
    return { body: { model: name, vector_type: "sparse", data, usage: { total_tokens } } };
  }
  const { vectors, tokens } = await model.embed(inputs, {
    dimension,
    input: parameters?.input_type ?? "passage",
    truncate: parameters?.truncate ?? "END",
  });
  const data = vectors.map((vector) => ({ vector_type: "dense", values: Array.from(vector) }));
  const usage = { total_tokens: tokens };
  return { body: { model: name, vector_type: "dense", data, usage } };
}

const document = z.union([
  z.string().transform((text) => ({ text })),
  z.record(z.string(), z.unknown()),
]);
const rerankBody = z.object({
  model: z.string(),
  query: z.string().min(1),
  documents: z.array(document).min(1).max(1_000),
  top_n: z.number().int().min(1).nullish(),
  return_documents: z.boolean().nullish(),
  rank_fields: z.array(z.string()).min(1).nullish(),
  parameters: z.looseObject({}).nullish(),
});

export async function rerank({ model, body }: InferenceCall): Promise<Answer> {
  const request = parsed(rerankBody, body);
  const { documents, top_n, return_documents, rank_fields } = request;
  const texts = textsToRank(request.model, documents, rank_fields ?? undefined);
  const scores = await similarities(model, request.query, texts);
  const data = scores
    .map((score, index) => ({
      index,
      score,
      ...(return_documents !== false && { document: documents[index] }),
    }))
    .toSorted((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, top_n ?? undefined);
  return { body: { model: request.model, data, usage: { rerank_units: 1 } } };
}

/** The texts that a reranking compares with its query: of each document, its rank fields joined. */
export function textsToRank(
  model: string,
  documents: readonly Readonly<Record<string, unknown>>[],
  given: readonly string[] | undefined,
): readonly string[] {
  const { maxRankFields } = rerankModel(model);
  const fields = given ?? ["text"];
  if (fields.length > maxRankFields)
    throw invalid(`"Only one rank field is supported for model ${model}"`);
  return documents.map((one, at) =>
    fields
      .map((field) => {
        const text = Object.hasOwn(one, field) ? one[field] : undefined;
        if (text !== undefined) return typeof text === "string" ? text : JSON.stringify(text);
        throw invalid(
          given === undefined
            ? 'Documents must be a list of strings or objects containing the "text" field'
            : `field '${field}' not found in document at index ${at}`,
        );
      })
      .join("\n"),
  );
}

/** How near each text is to the query, 0 to 1: the cosine of their vectors, where a real reranker reads both together. */
export async function similarities(
  model: TextModel,
  query: string,
  texts: readonly string[],
): Promise<readonly number[]> {
  const options = { dimension: localDimensions, truncate: "END" } as const;
  const [asked, given] = await Promise.all([
    model.embed([query], { ...options, input: "query" }),
    model.embed(texts, { ...options, input: "passage" }),
  ]);
  const [first = new Float32Array(localDimensions)] = asked.vectors;
  return given.vectors.map((vector) => {
    const dot = vector.reduce((sum, value, at) => sum + value * (first[at] ?? 0), 0);
    return Math.min(1, Math.max(0, dot / (normOf(vector) * normOf(first))));
  });
}
