import { invalid, notFound } from "./refusal.ts";

/**
 * Models that the real service hosts and this server stands in for: dense ones with the local model, whose
 * vectors are lengthened by zeros to the asked dimension; sparse ones with hashed words.
 */
export interface EmbedModel {
  readonly type: "embed";
  readonly model: string;
  readonly vectorType: "dense" | "sparse";
  readonly dimensions: readonly number[];
  /** The metrics an index of this model may have, the first by default. */
  readonly metrics: readonly string[];
}

interface RerankModel {
  readonly type: "rerank";
  readonly model: string;
  readonly maxRankFields: number;
}

/** Of the local model: what shorter vectors than this cannot hold. */
export const localDimensions = 384;
/** What the local model sees of a text. */
const localTokens = 256;
export const maxInputs = 96;

const models: readonly (EmbedModel | RerankModel)[] = [
  dense("llama-text-embed-v2", [1024, 384, 512, 768, 2048], ["cosine", "dotproduct"]),
  dense("multilingual-e5-large", [1024], ["cosine", "euclidean"]),
  dense("all-minilm-l6-v2", [localDimensions], ["cosine", "dotproduct", "euclidean"]),
  {
    type: "embed",
    model: "pinecone-sparse-english-v0",
    vectorType: "sparse",
    dimensions: [],
    metrics: ["dotproduct"],
  },
  { type: "rerank", model: "bge-reranker-v2-m3", maxRankFields: 1 },
  { type: "rerank", model: "pinecone-rerank-v0", maxRankFields: 1 },
  { type: "rerank", model: "cohere-rerank-3.5", maxRankFields: 100 },
];

/** `plane` that asks: they word their refusals differently. */
export function embedModel(name: string, plane: "control" | "inference"): EmbedModel {
  const found = models.find((one) => one.type === "embed" && one.model === name);
  if (found?.type === "embed") return found;
  throw unknownModel(plane === "control" ? name : `'${name}'`, "embed");
}

export function rerankModel(name: string): RerankModel {
  const found = models.find((one) => one.type === "rerank" && one.model === name);
  if (found?.type === "rerank") return found;
  throw unknownModel(`'${name}'`, "rerank");
}

/** The dimension to embed with: the asked one if the model has it, else its own. `undefined` for a sparse model. */
export function dimensionOf(model: EmbedModel, asked: number | null | undefined) {
  if (model.vectorType === "sparse") {
    if (asked != null) throw invalid(`Model '${model.model}' is sparse and has no dimension`);
    return undefined;
  }
  if (asked != null && !model.dimensions.includes(asked))
    throw invalid(
      `Model '${model.model}' does not support dimension ${asked}: choose one of ${model.dimensions.join(", ")}`,
    );
  return asked ?? model.dimensions[0];
}

/** As GET /models lists them. */
export function listModels(query: URLSearchParams): { readonly models: readonly object[] } {
  const type = query.get("type");
  const vectorType = query.get("vector_type");
  return {
    models: models
      .filter((one) => type === null || one.type === type)
      .filter(
        (one) => vectorType === null || (one.type === "embed" && one.vectorType === vectorType),
      )
      .map((one) => shown(one)),
  };
}

export function describeModel(name: string): object {
  const found = models.find(({ model }) => model === name);
  if (found === undefined) throw notFound(`Model '${name}' not found.`);
  return shown(found);
}

function dense(
  model: string,
  dimensions: readonly number[],
  metrics: readonly string[],
): EmbedModel {
  return { type: "embed", model, vectorType: "dense", dimensions, metrics };
}

function shown(one: EmbedModel | RerankModel): object {
  const parameter = { type: "one_of", value_type: "string", required: false };
  const common = {
    model: one.model,
    short_description: `Stands in for ${one.model}; computed on this machine, with other values.`,
    type: one.type,
    modality: "text",
    max_sequence_length: localTokens,
    provider_name: "local",
  };
  if (one.type === "rerank") return { ...common, max_batch_size: 100, supported_parameters: [] };
  return {
    ...common,
    vector_type: one.vectorType,
    max_batch_size: maxInputs,
    ...(one.vectorType === "dense" && {
      default_dimension: one.dimensions[0],
      supported_dimensions: one.dimensions,
    }),
    supported_metrics: one.metrics,
    supported_parameters: [
      {
        ...parameter,
        parameter: "input_type",
        required: true,
        allowed_values: ["query", "passage"],
      },
      { ...parameter, parameter: "truncate", allowed_values: ["END", "NONE"], default: "END" },
    ],
  };
}

function unknownModel(shown: string, type: EmbedModel["type"] | RerankModel["type"]) {
  const known = models.flatMap((one) => (one.type === type ? [one.model] : []));
  return notFound(`Model ${shown} not found. Supported models: ${known.join(", ")}`);
}
