import { z } from "sluice";
import { syncOptions } from "../../_shared/vector-sync/options.ts";

const creation = z.strictObject({
  cloud: z.enum(["aws", "gcp", "azure"]).default("aws").describe("Cloud of the index."),
  region: z.string().min(1).default("us-east-1").describe("Region of the index."),
  metric: z
    .enum(["cosine", "dotproduct", "euclidean"])
    .optional()
    .describe(
      "How similarity is measured: cosine if nothing is said. An index that is there must agree.",
    ),
});

/** Pinecone's published limits; a plan may have others. */
const rates = z.strictObject({
  upsertsPerSecond: rate(100, "Upsert requests a second to a namespace."),
  upsertedMBPerSecond: rate(50, "Megabytes upserted a second to a namespace."),
  deletesPerSecond: rate(100, "Delete requests a second to a namespace."),
  deletedIdsPerSecond: rate(5_000, "Ids deleted a second from a namespace."),
  queriesPerSecond: rate(100, "Queries a second to a namespace."),
  fetchesPerSecond: rate(100, "Fetch requests a second to the index."),
  listsPerSecond: rate(200, "List requests a second to the index."),
});

export type Rates = z.output<typeof rates>;

function rate(standard: number, description: string) {
  return z.number().min(0.1).max(1_000_000).default(standard).describe(description);
}

export const pineconeConfig = z
  .strictObject({
    index: z
      .string()
      .regex(/^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$/, "1 to 45 of a-z, 0-9 and '-', not at the ends")
      .meta({ change: "resync" })
      .describe("Name of the index."),
    apiKey: z.string().min(1).optional().meta({ secret: true }).describe("Pinecone API key."),
    url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .meta({ change: "resync" })
      .describe("Control plane of a Pinecone-compatible server, instead of Pinecone's own."),
    local: z
      .string()
      .min(1)
      .optional()
      .meta({ path: true, change: "resync" })
      .describe("Folder of a local index that this process serves itself, instead of `apiKey`."),
    create: z
      .union([z.literal(true), creation])
      .optional()
      .describe("Create the index when it is missing. A local one always is."),
    ...syncOptions,
    maxVectors: z
      .number()
      .int()
      .min(1)
      .max(1_000)
      .default(200)
      .describe("Most vectors a request. It also ends at 1.8 MB."),
    maxConcurrent: z
      .number()
      .int()
      .min(1)
      .max(64)
      .default(16)
      .describe(
        "Most requests at once. It starts with 4, takes one more every 10 s and half as many after a 429.",
      ),
    rates: rates
      .default(rates.parse({}))
      .describe(
        "What this process allows itself, so that Pinecone need not refuse it. Not with `local`.",
      ),
    timeoutMs: z
      .number()
      .int()
      .min(100)
      .max(60_000)
      .default(5_000)
      .describe("Milliseconds an attempt of a request may take."),
  })
  .refine(({ apiKey, local }) => (apiKey === undefined) !== (local === undefined), {
    error:
      "give exactly one of apiKey (Pinecone) and local (a folder this process serves): add one, or remove the other",
  })
  .refine(({ url, local }) => url === undefined || local === undefined, {
    error: "url belongs to apiKey, not to local",
    path: ["url"],
  });

export type PineconeConfig = z.output<typeof pineconeConfig>;

/** How a missing index is created; `undefined`: it is not. */
export function creationOf({ create, local }: PineconeConfig) {
  if (create === undefined && local === undefined) return undefined;
  const { metric = "cosine", ...place } = typeof create === "object" ? create : creation.parse({});
  return { ...place, metric };
}

/** The metric an index must have; `undefined`: any. */
export function metricOf({ create }: PineconeConfig) {
  return typeof create === "object" ? create.metric : undefined;
}
