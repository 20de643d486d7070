import { Pinecone } from "@pinecone-database/pinecone";
import { chunk } from "../../connectors/transforms/chunk/chunk.ts";
import { parse } from "../../connectors/transforms/parse/parse.ts";
import { startLocalPinecone } from "../../connectors/sinks/pinecone/local/server.ts";
import type { Place } from "../../core/config/pipeline.ts";
import type { Transform } from "../../core/connector.ts";
import { upserted, type DocumentUpserted, type UpsertEvent } from "../../core/event.ts";
import { openEmbeddedState } from "../../core/state/embedded/index.ts";
import { openRedisState } from "../../core/state/redis/index.ts";
import type { StatePlace } from "../../core/state/state.ts";
import { fakes } from "../../core/testing/index.ts";
import type { Manifest } from "../../core/vectors.ts";
import { version } from "../../core/version.ts";

/** One vector as it lies in the index. */
export interface Indexed {
  readonly id: string;
  readonly subject: string;
  readonly text: string;
  /** When this chunk was written. */
  readonly version: string;
}

export interface Oracle {
  readonly index: () => Promise<readonly Indexed[]>;
  readonly manifests: () => Promise<readonly Manifest[]>;
  readonly close: () => Promise<void>;
}

/** Reads a local index through the official client, from a server of its own over the same file, and the sink's state beside it. */
export async function openOracle(options: {
  readonly pinecone: string;
  readonly state: Place;
  readonly project: string;
}): Promise<Oracle> {
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir: options.pinecone });
  const state = await openState(options.state, options.project);
  const client = new Pinecone({ apiKey: "chaos", controllerHostUrl: server.url });
  return {
    close: async () => {
      await server.close();
      await state.close();
    },
    manifests: async () => {
      const found: Manifest[] = [];
      for await (const page of state.scope("search").state.scan("own/m/"))
        for (const { value } of page) found.push(value as unknown as Manifest); // vector sync's own keys
      return found;
    },
    index: async () => {
      const { indexes = [] } = await client.listIndexes();
      const host = indexes.find(({ name }) => name === "notes")?.host;
      if (host === undefined) return [];
      const index = client.index({ host, namespace: "__default__" });
      const found: Indexed[] = [];
      let paginationToken: string | undefined;
      do {
        const page = await index.listPaginated({
          limit: 100,
          ...(paginationToken !== undefined && { paginationToken }),
        });
        const ids = (page.vectors ?? []).flatMap(({ id }) => id ?? []);
        const fetched = ids.length > 0 ? await index.fetch({ ids }) : undefined;
        for (const { id, metadata = {} } of Object.values(fetched?.records ?? {}))
          found.push({
            id,
            subject: String(metadata["_subject"]),
            text: String(metadata["text"]),
            version: String(metadata["_v"]),
          });
        paginationToken = page.pagination?.next;
      } while (paginationToken !== undefined);
      return found;
    },
  };
}

/**
 * What differs between an index and the folder it stands for: every file's chunks, ids and texts, and
 * nothing else; and the sink's own notes agree: one live manifest a file, nothing pending, no chunk
 * written by a later version than its document's.
 */
export async function differences(
  files: ReadonlyMap<string, string>,
  index: readonly Indexed[],
  manifests: readonly Manifest[],
): Promise<readonly string[]> {
  const wanted = new Map<string, string>();
  for (const document of await documentsOf(files))
    for (const { id, text } of document.data.chunks ?? [])
      wanted.set(`${document.subject}#${id}`, text);
  const notes = new Map(manifests.map((manifest) => [manifest.subject, manifest]));
  const found: string[] = [];
  const seen = new Set<string>();
  for (const { id, subject, text, version: written } of index) {
    const chunkId = id.slice(id.lastIndexOf("#") + 1);
    const key = `${subject}#${chunkId}`;
    const note = notes.get(subject);
    if (seen.has(key)) found.push(`twice: ${key}`);
    seen.add(key);
    const expected = wanted.get(key);
    if (expected === undefined) found.push(`orphan: ${key}`);
    else if (expected !== text) found.push(`other text: ${key}`);
    if (!note?.chunks.some((one) => one.id === chunkId)) found.push(`not in its manifest: ${key}`);
    else if (written > note.version) found.push(`written after its document's version: ${key}`);
  }
  for (const key of wanted.keys()) if (!seen.has(key)) found.push(`missing: ${key}`);
  for (const { subject, state } of manifests) {
    if (state === "pending") found.push(`pending: ${subject}`);
    if ((state === "live") !== files.has(subject)) found.push(`manifest is ${state}: ${subject}`);
  }
  return found;
}

async function openState(place: Place, project: string): Promise<StatePlace> {
  if (place.kind === "embedded") return openEmbeddedState({ dir: place.dir, project });
  const log = { debug: () => {}, info: () => {}, warn: console.warn, error: console.error };
  return await openRedisState({ url: place.url, project, log });
}

/** The documents an empty pipeline would make of the folder: the same transforms, run once. */
async function documentsOf(
  files: ReadonlyMap<string, string>,
): Promise<readonly DocumentUpserted[]> {
  const records = [...files].map(([path, text]) =>
    upserted({
      source: "/file/folder",
      key: path,
      subject: path,
      version: version({ epoch: 1, position: 1n, rank: 0, tail: 0 }),
      time: new Date().toISOString(),
      op: "read",
      after: { uri: path, mediaType: "text/markdown", text },
      meta: {},
    }),
  );
  const parsed = await through(parse, {}, records);
  const chunked = await through(chunk, { maxTokens: 60, embedding: { provider: "hash" } }, parsed);
  return chunked as readonly DocumentUpserted[]; // chunk turns documents into documents
}

async function through(
  transform: Transform,
  config: object,
  events: readonly UpsertEvent[],
): Promise<readonly UpsertEvent[]> {
  const worker = await transform.open(fakes.context({ config: transform.config.parse(config) }));
  const run = { signal: new AbortController().signal };
  const outputs = await worker.apply(events, run);
  await worker.close?.();
  return outputs as readonly UpsertEvent[]; // of records and documents, never messages
}
