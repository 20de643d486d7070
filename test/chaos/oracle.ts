import { Pinecone } from "@pinecone-database/pinecone";
import { chunk } from "../../connectors/transforms/chunk/chunk.ts";
import { startLocalPinecone } from "../../connectors/sinks/pinecone/local/server.ts";
import type { Place } from "../../core/config/pipeline.ts";
import type { Transform } from "../../core/connector.ts";
import type { DocumentUpserted, RecordUpserted, UpsertEvent } from "../../core/event.ts";
import { openEmbeddedState } from "../../core/state/embedded/index.ts";
import { openRedisState } from "../../core/state/redis/index.ts";
import type { StatePlace } from "../../core/state/state.ts";
import { fakes } from "../../core/testing/index.ts";
import type { Manifest } from "../../core/vectors.ts";

/** One vector as it lies in the index. */
export interface Indexed {
  readonly id: string;
  readonly source: string;
  readonly subject: string;
  readonly text: string;
  /** When this chunk was written. */
  readonly version: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface Oracle {
  readonly index: () => Promise<readonly Indexed[]>;
  readonly manifests: () => Promise<readonly Manifest[]>;
  readonly close: () => Promise<void>;
}

/** Reads a local index through the official client, from a server of its own over the same file, and the sink's state beside it. */
export async function openOracle(options: {
  readonly pinecone: string;
  /** Name of the index. */
  readonly index: string;
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
      const host = indexes.find(({ name }) => name === options.index)?.host;
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
            source: String(metadata["_src"]),
            subject: String(metadata["_subject"]),
            text: String(metadata["text"]),
            version: String(metadata["_v"]),
            metadata,
          });
        paginationToken = page.pagination?.next;
      } while (paginationToken !== undefined);
      return found;
    },
  };
}

/**
 * What differs between an index and the records it stands for: every document's chunks, ids and
 * texts, and nothing else; and the sink's own notes agree: one live manifest a record, nothing
 * pending, no chunk written by a later version than its document's.
 */
export function differences(
  documents: readonly DocumentUpserted[],
  index: readonly Indexed[],
  manifests: readonly Manifest[],
): readonly string[] {
  const wanted = new Map<string, string>();
  const live = new Set<string>();
  for (const { source, subject, data } of documents) {
    live.add(nameOf(source, subject));
    for (const { id, text } of data.chunks ?? [])
      wanted.set(`${nameOf(source, subject)}#${id}`, text);
  }
  const notes = new Map(
    manifests.map((manifest) => [nameOf(manifest.source, manifest.subject), manifest]),
  );
  const found: string[] = [];
  const seen = new Set<string>();
  for (const { id, source, subject, text, version: written } of index) {
    const chunkId = id.slice(id.lastIndexOf("#") + 1);
    const key = `${nameOf(source, subject)}#${chunkId}`;
    const note = notes.get(nameOf(source, subject));
    if (seen.has(key)) found.push(`twice: ${key}`);
    seen.add(key);
    const expected = wanted.get(key);
    if (expected === undefined) found.push(`orphan: ${key}`);
    else if (expected !== text) found.push(`other text: ${key}`);
    if (!note?.chunks.some((one) => one.id === chunkId)) found.push(`not in its manifest: ${key}`);
    else if (written > note.version) found.push(`written after its document's version: ${key}`);
  }
  for (const key of wanted.keys()) if (!seen.has(key)) found.push(`missing: ${key}`);
  for (const { source, subject, state } of manifests) {
    const name = nameOf(source, subject);
    if (state === "pending") found.push(`pending: ${name}`);
    if ((state === "live") !== live.has(name)) found.push(`manifest is ${state}: ${name}`);
  }
  return found;
}

/** The documents an empty pipeline would make of these records: the same transforms, run once. */
export async function documentsOf(
  records: readonly RecordUpserted[],
  first: Transform,
  config: object,
): Promise<readonly DocumentUpserted[]> {
  const documents = await through(first, config, records);
  const chunked = await through(
    chunk,
    { maxTokens: 60, embedding: { provider: "hash" } },
    documents,
  );
  return chunked as readonly DocumentUpserted[]; // chunk turns documents into documents
}

function nameOf(source: string, subject: string): string {
  return `${source} ${subject}`;
}

async function openState(place: Place, project: string): Promise<StatePlace> {
  if (place.kind === "embedded") return openEmbeddedState({ dir: place.dir, project });
  const log = { debug: () => {}, info: () => {}, warn: console.warn, error: console.error };
  return await openRedisState({ url: place.url, project, log });
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
  // Of records and documents, never messages; a blank text makes none.
  return outputs.flat().filter((output) => output !== null) as readonly UpsertEvent[];
}
