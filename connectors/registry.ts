import type { Catalog } from "../core/config/catalog.ts";

/** The built-in connectors: one lazy line each, so that naming one loads only that one. */
export const catalog: Catalog = {
  sources: {
    file: async () => (await import("./sources/file/file.ts")).file,
    postgres: async () => (await import("./sources/postgres/postgres.ts")).postgres,
    mongodb: async () => (await import("./sources/mongodb/mongodb.ts")).mongodb,
    s3: async () => (await import("./sources/s3/s3.ts")).s3,
    http: async () => (await import("./sources/http/http.ts")).http,
  },
  transforms: {
    parse: async () => (await import("./transforms/parse/parse.ts")).parse,
    render: async () => (await import("./transforms/render/render.ts")).render,
    tokenize: async () => (await import("./transforms/tokenize/tokenize.ts")).tokenize,
    chunk: async () => (await import("./transforms/chunk/chunk.ts")).chunk,
    embed: async () => (await import("./transforms/embed/embed.ts")).embed,
    question: async () => (await import("./transforms/question/question.ts")).question,
    converse: async () => (await import("./transforms/converse/converse.ts")).converse,
    retrieve: async () => (await import("./transforms/retrieve/retrieve.ts")).retrieve,
    prompt: async () => (await import("./transforms/prompt/prompt.ts")).prompt,
    llm: async () => (await import("./transforms/llm/llm.ts")).llm,
    filter: async () => (await import("./transforms/filter/filter.ts")).filter,
  },
  sinks: {
    pinecone: async () => (await import("./sinks/pinecone/pinecone.ts")).pinecone,
    vectors: async () => (await import("./sinks/vectors/vectors.ts")).vectors,
    http: async () => (await import("./sinks/http/http.ts")).http,
    log: async () => (await import("./sinks/log/log.ts")).log,
  },
};
