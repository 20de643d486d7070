import { hash } from "node:crypto";
import { RetryableError, z, type Context, type Embedder, type EmbedderDescription } from "sluice";
import { openService } from "./ask.ts";
import { estimatedCount, tokenizerCount } from "./count-tokens.ts";
import { remoteEmbedder, type Protocol } from "./remote.ts";

const officialUrl = "https://api.openai.com/v1";

/** OpenAI's own models; dollars as published in November 2026. */
const known: Readonly<
  Record<
    string,
    { readonly dimensions: number; readonly canShorten: boolean; readonly price: number }
  >
> = {
  "text-embedding-3-small": { dimensions: 1_536, canShorten: true, price: 0.02 },
  "text-embedding-3-large": { dimensions: 3_072, canShorten: true, price: 0.13 },
  "text-embedding-ada-002": { dimensions: 1_536, canShorten: false, price: 0.1 },
};
const knownMaxTokens = 8_192;
const unknownMaxTokens = 512;

export const openAiConfig = z
  .strictObject({
    provider: z.literal("openai"),
    model: z.string().min(1).describe("Name of the model, as the service knows it."),
    url: z
      .url({ protocol: /^https?$/ })
      .default(officialUrl)
      .describe(
        "Base of the API, up to and without `/embeddings`: OpenAI, Ollama, vLLM, TEI, a proxy.",
      ),
    apiKey: z
      .string()
      .min(1)
      .optional()
      .meta({ secret: true })
      .describe("Key, where one is needed."),
    dimensions: z
      .number()
      .int()
      .min(1)
      .max(20_000)
      .optional()
      .describe(
        "Length of each vector. Known for OpenAI's models, whose third generation can shorten it.",
      ),
    maxTokens: z
      .number()
      .int()
      .min(16)
      .max(1_000_000)
      .optional()
      .describe("Most tokens of a text. Default: 8192 for OpenAI's models, 512 for others."),
    tokenizer: z
      .string()
      .min(1)
      .optional()
      .meta({ path: true })
      .describe(
        "The model's `tokenizer.json`, to count tokens exactly; without it they are estimated, rather high.",
      ),
    maxTexts: z
      .number()
      .int()
      .min(1)
      .max(2_048)
      .optional()
      .describe("Most texts a request. Default: 2048 for OpenAI, 32 for others."),
    prefix: z
      .strictObject({
        passage: z.string().default("").describe("Put before every passage, e.g. `passage: `."),
        query: z.string().default("").describe("Put before every question, e.g. `query: `."),
      })
      .optional()
      .describe("What the model wants before a text (E5, BGE, Nomic)."),
    timeoutMs: z
      .number()
      .int()
      .min(100)
      .max(600_000)
      .default(30_000)
      .describe("Milliseconds a request may take."),
  })
  .refine(({ model, dimensions }) => dimensions !== undefined || Object.hasOwn(known, model), {
    error: "say how many dimensions the model makes: it is none of OpenAI's",
    path: ["dimensions"],
  })
  .describe("Any OpenAI-compatible service: OpenAI, Ollama, vLLM, TEI.");

export type OpenAiConfig = z.output<typeof openAiConfig>;

export async function describeOpenAi(config: OpenAiConfig): Promise<EmbedderDescription> {
  const { model, tokenizer, prefix } = config;
  const own = Object.hasOwn(known, model) ? known[model] : undefined;
  const dimensions = config.dimensions ?? own?.dimensions ?? 0;
  const count = tokenizer === undefined ? estimatedCount : await tokenizerCount(tokenizer);
  const longest = Math.max(prefix?.passage.length ?? 0, prefix?.query.length ?? 0);
  return {
    // Not the url: the same model behind a proxy makes the same vectors.
    fingerprint: `${model}@openai/${dimensions}/as-served${prefix ? `/${markOf(prefix)}` : ""}`,
    dimensions,
    maxTokens: (config.maxTokens ?? (own ? knownMaxTokens : unknownMaxTokens)) - longest,
    countTokens: count,
    ...(own && { pricePerMillionTokens: own.price }),
  };
}

export async function openOpenAi(
  config: OpenAiConfig,
  { log, meter }: Pick<Context<unknown>, "log" | "meter">,
): Promise<Embedder> {
  const { model, url, apiKey, timeoutMs } = config;
  const isOfficial = url === officialUrl;
  return remoteEmbedder({
    description: await describeOpenAi(config),
    maxTexts: config.maxTexts ?? (isOfficial ? 2_048 : 32),
    maxTokensPerRequest: 300_000,
    service: openService({
      url: `${url.replace(/\/+$/, "")}/embeddings`,
      headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
      timeoutMs,
      log,
      meter,
    }),
    protocol: protocolOf(config, { canShorten: known[model]?.canShorten ?? false, isOfficial }),
    meter,
  });
}

/** What nobody asks for at once. */
const maxIndex = 1_000_000;

const answer = z.object({
  data: z.array(
    z.object({
      index: z.number().int().min(0).max(maxIndex).optional(),
      embedding: z.union([z.string(), z.array(z.number())]),
    }),
  ),
  usage: z.object({ total_tokens: z.number() }).optional(),
});

function protocolOf(
  { model, dimensions, prefix }: OpenAiConfig,
  { canShorten, isOfficial }: { readonly canShorten: boolean; readonly isOfficial: boolean },
): Protocol {
  return {
    request: (texts, input) => ({
      model,
      input: texts.map((text) => `${prefix?.[input] ?? ""}${text}`),
      // A third of the bytes. Others may not know it, and answer numbers.
      ...(isOfficial && { encoding_format: "base64" }),
      ...(canShorten && dimensions !== undefined && { dimensions }),
    }),
    vectors(body) {
      const parsed = answer.safeParse(body);
      if (!parsed.success) return undefined;
      const { data } = parsed.data;
      const ordered: Float32Array[] = [];
      for (const [at, { index = at, embedding }] of data.entries())
        ordered[index] = toVector(embedding);
      const places = new Set(data.map(({ index }, at) => index ?? at));
      const isWhole = places.size === data.length && ordered.length === data.length;
      // A vector under another text's name would be found by nobody, and blamed on nobody.
      if (!isWhole) throw outOfOrder(model, data.length);
      return ordered;
    },
    tokens: (body) => answer.safeParse(body).data?.usage?.total_tokens,
  };
}

function outOfOrder(model: string, count: number): RetryableError {
  return new RetryableError(
    `embed: ${model} answered ${count} vectors whose \`index\` is not 0 to ${count - 1}, each once.`,
    {
      code: "embed.bad-order",
      reason: "unreachable",
      fix: "Wait: it is asked again. If it lasts, the service is not OpenAI-compatible: use another, or a newer version of it.",
    },
  );
}

function toVector(embedding: string | readonly number[]): Float32Array {
  if (typeof embedding !== "string") return Float32Array.from(embedding);
  const bytes = Buffer.from(embedding, "base64");
  // A copy: pooled buffers are not aligned to four bytes.
  return new Float32Array(
    new Uint8Array(bytes.subarray(0, bytes.length - (bytes.length % 4))).buffer,
  );
}

function markOf(prefix: NonNullable<OpenAiConfig["prefix"]>): string {
  return hash("sha256", JSON.stringify([prefix.passage, prefix.query]), "hex").slice(0, 8);
}
