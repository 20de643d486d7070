import { z } from "sluice";
import { embeddingConfig } from "../embedders/embedding.ts";
import { defaultRules } from "./metadata.ts";
import type { VectorWriterOptions } from "./writer.ts";

/** The options that every sink with vector sync has. */
export const syncOptions = {
  namespace: z
    .string()
    .min(1)
    .max(1_000)
    .default("__default__")
    .meta({ change: "resync" })
    .describe(
      "Namespace that this sink keeps, or a Liquid template over a document's metadata that names it: `{{ tenant }}`. A record whose namespace changes moves.",
    ),
  embedding: embeddingConfig.meta({ change: "refuse" }),
  acknowledge: z
    .enum(["written", "indexed"])
    .default("written")
    .describe(
      "When a change is done: `written` when the database has acknowledged it, `indexed` when searches find it.",
    ),
  maxDeleteRatio: z
    .number()
    .min(0)
    .max(1)
    .default(0.2)
    .describe(
      "Most of its documents that a sweep or a dropped table may delete; more becomes a dead letter. Ten a partition always may go. A TRUNCATE is always obeyed.",
    ),
  metadata: z
    .strictObject({
      strict: z
        .boolean()
        .default(false)
        .describe("Give a document up whose metadata does not fit, instead of trimming it."),
      dropFirst: z
        .array(z.string().min(1))
        .default([])
        .describe("Fields to drop first, in this order, where metadata is too large."),
      text: z
        .boolean()
        .default(true)
        .describe("Store a chunk's text beside its vector, so that searches can show it."),
    })
    .default(defaultRules as { strict: boolean; dropFirst: string[]; text: boolean })
    .meta({ change: "resync" })
    .describe("What is stored beside a vector."),
  vectorCacheMiB: z
    .number()
    .min(0)
    .max(65_536)
    .default(64)
    .describe(
      "Size of the cache of vectors in state: moved, renamed and replayed texts are not embedded again. 0 turns it off.",
    ),
  tombstoneDays: z
    .number()
    .min(1)
    .max(3_650)
    .default(30)
    .describe(
      "Days a deleted record's version is remembered, so that nothing older brings it back: longer than dead letters and queues are kept.",
    ),
};

/** What the writer is told of them. */
export function toWriterOptions(config: {
  readonly acknowledge: "written" | "indexed";
  readonly maxDeleteRatio: number;
  readonly metadata: VectorWriterOptions["metadata"];
  readonly vectorCacheMiB: number;
  readonly tombstoneDays: number;
}): Pick<
  VectorWriterOptions,
  "acknowledge" | "maxDeleteRatio" | "metadata" | "vectorCacheBytes" | "tombstoneMs"
> {
  const { acknowledge, maxDeleteRatio, metadata, vectorCacheMiB, tombstoneDays } = config;
  return {
    acknowledge,
    maxDeleteRatio,
    ...(metadata && { metadata }),
    vectorCacheBytes: vectorCacheMiB * 2 ** 20,
    tombstoneMs: tombstoneDays * 24 * 3_600_000,
  };
}
