import { z, type Context, type Embedder, type EmbedderDescription } from "sluice";
import { openService } from "./ask.ts";
import { estimatedCount, tokenizerCount } from "./count-tokens.ts";
import { remoteEmbedder, type Protocol } from "./remote.ts";

/** Dollars as published in November 2026. */
const models = {
  "multilingual-e5-large": { dimensions: 1_024, maxTokens: 507, price: 0.08 },
  "llama-text-embed-v2": { dimensions: 1_024, maxTokens: 2_048, price: 0.16 },
} as const;
const lengths = [384, 512, 768, 1_024, 2_048];

export const pineconeEmbeddingConfig = z
  .strictObject({
    provider: z.literal("pinecone"),
    model: z
      .enum(["multilingual-e5-large", "llama-text-embed-v2"])
      .default("multilingual-e5-large")
      .describe("A model that Pinecone hosts."),
    apiKey: z.string().min(1).meta({ secret: true }).describe("Pinecone API key."),
    url: z
      .url({ protocol: /^https?$/ })
      .default("https://api.pinecone.io")
      .describe("Where Pinecone's inference API is."),
    dimensions: z
      .number()
      .int()
      .refine((value) => lengths.includes(value), `one of ${lengths.join(", ")}`)
      .optional()
      .describe("Length of each vector, where the model can do others: llama-text-embed-v2."),
    tokenizer: z
      .string()
      .min(1)
      .optional()
      .meta({ path: true })
      .describe(
        "The model's `tokenizer.json`, to count tokens exactly; without it they are estimated, rather high.",
      ),
    timeoutMs: z
      .number()
      .int()
      .min(100)
      .max(600_000)
      .default(30_000)
      .describe("Milliseconds a request may take."),
  })
  .refine(({ model, dimensions }) => dimensions === undefined || model === "llama-text-embed-v2", {
    error: "only llama-text-embed-v2 makes vectors of other lengths: leave dimensions out",
    path: ["dimensions"],
  })
  .describe("A model hosted by Pinecone, through its inference API.");

export type PineconeEmbeddingConfig = z.output<typeof pineconeEmbeddingConfig>;

export async function describePinecone(
  config: PineconeEmbeddingConfig,
): Promise<EmbedderDescription> {
  const { model, tokenizer } = config;
  const { maxTokens, price, ...own } = models[model];
  const dimensions = config.dimensions ?? own.dimensions;
  return {
    fingerprint: `${model}@pinecone/${dimensions}/as-served`,
    dimensions,
    maxTokens,
    countTokens: tokenizer === undefined ? estimatedCount : await tokenizerCount(tokenizer),
    pricePerMillionTokens: price,
  };
}

export async function openPinecone(
  config: PineconeEmbeddingConfig,
  { log, meter }: Pick<Context<unknown>, "log" | "meter">,
): Promise<Embedder> {
  const { apiKey, timeoutMs, url } = config;
  return remoteEmbedder({
    description: await describePinecone(config),
    maxTexts: 96,
    maxTokensPerRequest: Infinity,
    service: openService({
      url: `${url.replace(/\/+$/, "")}/embed`,
      headers: { "api-key": apiKey, "x-pinecone-api-version": "2026-04" },
      timeoutMs,
      log,
      meter,
    }),
    protocol: protocolOf(config),
    meter,
  });
}

const answer = z.object({
  data: z.array(z.object({ values: z.array(z.number()) })),
  usage: z.object({ total_tokens: z.number() }).optional(),
});

function protocolOf({ model, dimensions }: PineconeEmbeddingConfig): Protocol {
  return {
    request: (texts, input) => ({
      model,
      // Without it a longer text is cut, silently.
      parameters: {
        input_type: input,
        truncate: "NONE",
        ...(dimensions && { dimension: dimensions }),
      },
      inputs: texts.map((text) => ({ text })),
    }),
    vectors: (body) =>
      answer.safeParse(body).data?.data.map(({ values }) => Float32Array.from(values)),
    tokens: (body) => answer.safeParse(body).data?.usage?.total_tokens,
  };
}
