import { z } from "sluice";
import { embeddingConfig } from "../../_shared/embedders/embedding.ts";

const creation = z.strictObject({
  cloud: z.enum(["aws", "gcp", "azure"]).default("aws").describe("Cloud of the index."),
  region: z.string().min(1).default("us-east-1").describe("Region of the index."),
  metric: z
    .enum(["cosine", "dotproduct", "euclidean"])
    .default("cosine")
    .describe("How similarity is measured."),
});

export const pineconeConfig = z
  .strictObject({
    index: z
      .string()
      .regex(/^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$/, "1 to 45 of a-z, 0-9 and '-', not at the ends")
      .describe("Name of the index."),
    namespace: z
      .string()
      .min(1)
      .max(512)
      .default("__default__")
      .describe("Namespace of the index that this sink keeps."),
    apiKey: z.string().min(1).optional().meta({ secret: true }).describe("Pinecone API key."),
    url: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe("Control plane of a Pinecone-compatible server, instead of Pinecone's own."),
    local: z
      .string()
      .min(1)
      .optional()
      .meta({ path: true })
      .describe("Folder of a local index that this process serves itself, instead of `apiKey`."),
    create: z
      .union([z.literal(true), creation])
      .optional()
      .describe("Create the index when it is missing. A local one always is."),
    embedding: embeddingConfig,
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
export function creationOf({
  create,
  local,
}: PineconeConfig): z.output<typeof creation> | undefined {
  if (create === undefined && local === undefined) return undefined;
  return typeof create === "object" ? create : creation.parse({});
}
