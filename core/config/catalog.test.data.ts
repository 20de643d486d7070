import { z } from "zod";
import { defineSink, defineSource, defineTransform } from "../connector.ts";
import type { Catalog } from "./catalog.ts";

export const embedding = z
  .discriminatedUnion("provider", [
    z.strictObject({ provider: z.literal("local") }),
    z.strictObject({
      provider: z.literal("remote"),
      model: z.string().describe("Model to ask."),
      apiKey: z.string().meta({ secret: true }).describe("Key of the provider."),
    }),
  ])
  .default({ provider: "local" })
  .describe("What embeds.");

const folder = defineSource({
  name: "folder",
  version: "1.0.0",
  summary: "Files of a folder.",
  config: z
    .strictObject({
      path: z.string().meta({ path: true }).describe("Folder to read."),
      everyMs: z.int().min(10).max(60_000).default(1_000).describe("Milliseconds between looks."),
      mode: z.enum(["poll", "watch"]).default("watch").describe("How changes are noticed."),
      password: z
        .string()
        .min(8)
        .meta({ secret: true })
        .optional()
        .describe("Password of the share."),
    })
    .refine(
      ({ mode, password }) => mode === "watch" || password === undefined,
      "a password needs mode watch",
    ),
  checkpoint: z.strictObject({}),
  emits: ["dev.sluice.record.", "dev.sluice.collection.cleared"],
  capabilities: { deletes: true, snapshotOnRequest: false, replays: true, forgets: false },
  async *read() {},
});

const parse = defineTransform({
  name: "parse",
  version: "1.0.0",
  summary: "Files become documents.",
  config: z.strictObject({ encoding: z.string().default("utf8").describe("Encoding of files.") }),
  accepts: ["dev.sluice.record."],
  emits: ["dev.sluice.document."],
  open: async () => ({ apply: async (events) => events }),
});

const split = defineTransform({
  name: "split",
  version: "1.0.0",
  summary: "Documents get chunks.",
  config: z.strictObject({
    maxTokens: z.int().min(16).default(200).describe("Most tokens a chunk."),
    embedding,
  }),
  accepts: ["dev.sluice.document."],
  emits: ["dev.sluice.document."],
  open: async () => ({ apply: async (events) => events }),
});

export const index = defineSink({
  name: "index",
  version: "1.0.0",
  summary: "A vector index.",
  config: z.strictObject({
    index: z.string().min(1).describe("Name of the index."),
    apiKey: z.string().meta({ secret: true }).optional().describe("Key of the index."),
    embedding,
  }),
  accepts: ["dev.sluice.document."],
  inherit: ["embedding"],
  locates: ["index", "apiKey"],
  open: async () => ({ write: async () => {}, close: async () => {} }),
});

const print = defineSink({
  name: "print",
  version: "1.0.0",
  summary: "Prints events.",
  config: z.strictObject({}),
  accepts: [""],
  open: async () => ({ write: async () => {}, close: async () => {} }),
});

/** Connectors that do nothing, with one option of each sort. */
export const catalog: Catalog = {
  sources: { folder: async () => folder },
  transforms: { parse: async () => parse, split: async () => split },
  sinks: { index: async () => index, print: async () => print },
};
