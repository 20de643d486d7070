import type { Catalog } from "../core/config/catalog.ts";

/** The built-in connectors: one lazy line each, so that naming one loads only that one. */
export const catalog: Catalog = {
  sources: {
    file: async () => (await import("./sources/file/file.ts")).file,
  },
  transforms: {},
  sinks: {
    pinecone: async () => (await import("./sinks/pinecone/pinecone.ts")).pinecone,
    log: async () => (await import("./sinks/log/log.ts")).log,
  },
};
