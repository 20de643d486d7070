import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Pinecone } from "@pinecone-database/pinecone";
import { openHash } from "../../connectors/_shared/embedders/hash.ts";
import { chunk } from "../../connectors/transforms/chunk/chunk.ts";
import { fakes } from "../../core/testing/index.ts";
import { documentOf } from "./documents.ts";
import type { Keeper } from "./edits.ts";
import { maxTokens } from "./sluice-keeper.ts";
import type { Traffic } from "./traffic.ts";

/** What is used of `@langchain/core`, which is no dependency of ours. */
interface LangChain {
  readonly version: string;
  readonly index: (args: {
    readonly docsSource: readonly Piece[];
    readonly recordManager: object;
    readonly vectorStore: object;
    readonly options: { readonly cleanup: "incremental"; readonly sourceIdKey: string };
  }) => Promise<object>;
  readonly Document: new (piece: {
    readonly pageContent: string;
    readonly metadata: Readonly<Record<string, unknown>>;
  }) => Piece;
}

interface Piece {
  readonly pageContent: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** From the folder that it is installed in; `undefined` where it is not. */
export async function loadLangChain(folder: string): Promise<LangChain | undefined> {
  const require = createRequire(join(resolve(folder), "bench.js"));
  const core = "@langchain/core";
  const load = async (name: string): Promise<object> => {
    const module: object = await import(pathToFileURL(require.resolve(name)).href);
    return module;
  };
  try {
    const { version } = require(`${core}/package.json`) as { version: string };
    const { index } = (await load(`${core}/indexing`)) as Pick<LangChain, "index">;
    const { Document } = (await load(`${core}/documents`)) as Pick<LangChain, "Document">;
    return { version, index, Document };
  } catch (error) {
    if ((error as { code?: string }).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/** As many vectors a request as LangChain's own Pinecone store sends. */
const vectorsARequest = 100;

/**
 * The same document through `index()` of LangChain JS, with what it comes with set as it comes, cleanup
 * `incremental`, the very chunks and vectors that Sluice makes, and the official Pinecone client.
 */
export async function langChainKeeper(
  { index, Document }: LangChain,
  options: {
    readonly url: string;
    readonly dimensions: number;
    readonly taken: () => Traffic;
  },
): Promise<Keeper> {
  const { url, dimensions, taken } = options;
  const { signal } = new AbortController();
  const embedder = openHash(dimensions);
  const config = chunk.config.parse({ maxTokens, embedding: { provider: "hash", dimensions } });
  const chunker = await chunk.open(fakes.context({ config }));
  const client = new Pinecone({ apiKey: "bench", controllerHostUrl: url });
  const name = "edits-langchain";
  await client.createIndex({
    name,
    dimension: dimensions,
    metric: "cosine",
    spec: { serverless: { cloud: "aws", region: "us-east-1" } },
  });
  const { host } = await client.describeIndex(name);
  const target = client.index({ host, namespace: "" });
  let embeds = 0;
  let applied = 0;

  const vectorStore = {
    async addDocuments(pieces: readonly Piece[], { ids }: { readonly ids: readonly string[] }) {
      for (let from = 0; from < pieces.length; from += vectorsARequest) {
        const some = pieces.slice(from, from + vectorsARequest);
        const vectors = await embedder.embed(
          some.map(({ pageContent }) => pageContent),
          { input: "passage", signal },
        );
        embeds += some.length;
        const records = some.map(({ pageContent, metadata }, at) => ({
          id: ids[from + at] ?? "",
          values: [...(vectors[at] ?? [])],
          metadata: { ...metadata, text: pageContent },
        }));
        await target.upsert({ records });
      }
    },
    delete: async ({ ids }: { readonly ids: readonly string[] }) =>
      await target.deleteMany({ ids: [...ids] }),
  };
  const recordManager = openRecords();

  return {
    name: "langchain",
    async apply({ paragraphs, metadata }) {
      const event = documentOf('["1"]', paragraphs.join("\n\n"), ++applied, metadata);
      const [chunked] = await chunker.apply([event], { signal });
      const { data } = chunked as ReturnType<typeof documentOf>;
      const docsSource = (data.chunks ?? []).map(
        ({ text }) =>
          new Document({
            pageContent: text,
            metadata: { ...metadata, source: event.source + event.subject },
          }),
      );
      taken();
      embeds = 0;
      const began = performance.now();
      await index({
        docsSource,
        recordManager,
        vectorStore,
        options: { cleanup: "incremental", sourceIdKey: "source" },
      });
      return { ...taken(), embeds, ms: performance.now() - began };
    },
    async close() {
      await chunker.close?.();
      await embedder.close();
    },
  };
}

/** LangChain's notes of what is where, in memory: nothing to wait for. */
function openRecords() {
  const records = new Map<string, { group: string | null; at: number }>();
  let time = 0;
  return {
    createSchema: async () => {},
    getTime: async () => ++time,
    async update(
      keys: readonly string[],
      { groupIds = [] }: { readonly groupIds?: readonly (string | null)[] } = {},
    ) {
      const at = ++time;
      for (const [n, key] of keys.entries()) records.set(key, { group: groupIds[n] ?? null, at });
    },
    exists: async (keys: readonly string[]) => keys.map((key) => records.has(key)),
    listKeys: async ({
      before = Infinity,
      groupIds,
      limit = Infinity,
    }: {
      readonly before?: number;
      readonly groupIds?: readonly (string | null)[];
      readonly limit?: number;
    }) =>
      [...records]
        .filter(([, { group, at }]) => at < before && (!groupIds || groupIds.includes(group)))
        .slice(0, limit)
        .map(([key]) => key),
    deleteKeys: async (keys: readonly string[]) => {
      for (const key of keys) records.delete(key);
    },
  };
}
