import { z } from "sluice";
import { syncOptions } from "../../_shared/vector-sync/options.ts";

export const vectorsConfig = z.strictObject({
  store: z
    .strictObject({
      use: z
        .string()
        .min(1)
        .describe("A package, or the path of a module, made with defineVectorStore."),
      config: z.record(z.string(), z.unknown()).default({}).describe("Its own options."),
    })
    .meta({ store: true, change: "resync" })
    .describe("The vector database."),
  ...syncOptions,
});

export type VectorsConfig = z.output<typeof vectorsConfig>;
