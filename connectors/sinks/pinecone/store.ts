import { setTimeout as sleep } from "node:timers/promises";
import type { IndexModel, Pinecone } from "@pinecone-database/pinecone";
import {
  ConfigError,
  PoisonError,
  RetryableError,
  SluiceError,
  type Context,
  type StoreRun,
  type Vector,
  type VectorStore,
} from "sluice";
import { creationOf, type PineconeConfig, type Rates } from "./config.ts";
import { encoder, upsertBody } from "./encode.ts";
import { requests, type Call, type Requests } from "./fetch.ts";
import { fetchPacks, limits, toSentFilter } from "./outgoing.ts";
import type { Cost } from "./pace.ts";

const pollMs = 1_000;
const maxPolls = 60;

export interface PineconeStoreOptions extends Pick<
  Context<PineconeConfig>,
  "config" | "signal" | "log" | "meter"
> {
  /** Dimensions of the index, should it have to be created. Without it, nothing is created. */
  readonly dimensions?: number;
  /** Nothing is created or written, the folder of `local` included. */
  readonly readOnly?: boolean;
}

/**
 * Opens the index through the official client. With `local` it also serves it, for as long as the
 * store is open. A missing index is created when the config says so, else a `RetryableError`.
 */
export async function openPineconeStore(options: PineconeStoreOptions): Promise<VectorStore> {
  const { config, log, meter, readOnly = false } = options;
  const local = config.local === undefined ? undefined : await serve(config.local, readOnly);
  try {
    const { timeoutMs, maxConcurrent } = config;
    const http = requests({ timeoutMs, maxConcurrent, log, meter });
    const { Pinecone } = await import("@pinecone-database/pinecone");
    const address = local?.url ?? config.url;
    const client = new Pinecone({
      apiKey: config.apiKey ?? "local",
      // The client's own retries hide the status and forget 429.
      maxRetries: 0,
      fetchApi: http.fetchApi,
      ...(address !== undefined && { controllerHostUrl: address }),
    });
    const model = await readyIndex(client, http, options);
    return storeOf({
      client,
      http: whileThere(http, options),
      config,
      model,
      close: async () => local?.close(),
    });
  } catch (error) {
    await local?.close();
    throw error;
  }
}

function storeOf(context: {
  readonly client: Pinecone;
  readonly http: Requests;
  readonly config: PineconeConfig;
  readonly model: IndexModel;
  readonly close: () => Promise<void>;
}): VectorStore {
  const { client, http, config, model, close } = context;
  const dimensions = dimensionsOf(model);
  const encoded = encoder(dimensions);
  // A server of our own has no limits but the machine's.
  const cost = costs(config.local === undefined ? config.rates : undefined);
  // Always by host and namespace: by name the client caches the host for the whole process.
  const index = (namespace: string) => client.index({ host: model.host, namespace });

  return {
    limits: { ...limits, maxVectors: config.maxVectors },
    bytesOf: encoded.bytesOf,
    async describe({ signal }) {
      const { result } = await http.call({ signal }, () => client.describeIndex(config.index));
      return { dimensions: dimensionsOf(result), metric: metricOf(result) };
    },
    async upsert(vectors, run) {
      if (vectors.length === 0) return {};
      const { namespace } = run;
      const body = upsertBody(namespace, vectors.map(encoded.of));
      const how = callOf(run, cost.upsert(namespace, body.byteLength), body);
      // The client's own way to a body costs three times as much and sends twice the bytes.
      const { lsn } = await http.call(how, () => index(namespace).upsert({ records: placeholder }));
      return lsn === undefined ? {} : { lsn };
    },
    async remove(ids, run) {
      if (ids.length === 0) return {};
      const { namespace } = run;
      const how = callOf(run, cost.remove(namespace, ids.length));
      const { lsn } = await http.call(how, () => index(namespace).deleteMany({ ids: [...ids] }));
      return lsn === undefined ? {} : { lsn };
    },
    async fetch(ids, run) {
      const how = callOf(run, cost.fetch());
      const fetchOne = (pack: readonly string[]) => index(run.namespace).fetch({ ids: [...pack] });
      const answers = await Promise.all(
        [...fetchPacks(ids)].map((pack) => http.call(how, () => fetchOne(pack))),
      );
      const found = new Map(answers.flatMap(({ result }) => Object.entries(result.records)));
      return ids.flatMap((id): Vector[] => {
        const record = found.get(id);
        if (record === undefined) return [];
        return [
          { id, values: Float32Array.from(record.values ?? []), metadata: record.metadata ?? {} },
        ];
      });
    },
    async *list(prefix, run) {
      let paginationToken: string | undefined;
      do {
        const page = {
          ...(prefix !== "" && { prefix }),
          ...(paginationToken && { paginationToken }),
        };
        const { result } = await http.call(callOf(run, cost.list()), () =>
          index(run.namespace).listPaginated(page),
        );
        // A last page may come without `vectors`.
        const ids = (result.vectors ?? []).flatMap(({ id }) => id ?? []);
        if (ids.length > 0) yield ids;
        paginationToken = result.pagination?.next;
      } while (paginationToken);
    },
    async *namespaces({ signal }) {
      let paginationToken: string | undefined;
      do {
        const page = { limit: namespacesAPage, ...(paginationToken && { paginationToken }) };
        const { result } = await http.call({ signal, costs: cost.list() }, () =>
          index("").listNamespaces(page),
        );
        const names = (result.namespaces ?? []).flatMap(({ name, recordCount }) =>
          name === undefined || Number(recordCount) === 0 ? [] : [name],
        );
        if (names.length > 0) yield names;
        paginationToken = result.pagination?.next;
      } while (paginationToken);
    },
    async query({ vector, topK, filter }, run) {
      const { namespace } = run;
      const sent = toSentFilter(filter);
      const ask = () =>
        index(namespace).query({
          vector: [...vector],
          topK,
          includeMetadata: true,
          ...(sent && { filter: sent }),
        });
      const how = callOf(run, cost.query(namespace));
      const { result, lsn } = await http.call(how, ask).catch((error: unknown) => {
        throw error instanceof PoisonError ? badQuery(error.message) : error;
      });
      const matches = result.matches.map(({ id, score, metadata }) => ({
        id,
        score: score ?? 0,
        metadata: metadata ?? {},
      }));
      return { matches, ...(lsn !== undefined && { lsn }) };
    },
    close,
  };
}

/**
 * An index that was there when it was opened and is missing now holds nothing of what was noted since: a writer has to
 * open it anew, and to judge its notes, before it goes on.
 */
function whileThere(http: Requests, { config, dimensions }: PineconeStoreOptions): Requests {
  if (dimensions === undefined) return http;
  return {
    ...http,
    call: (how, work) =>
      http.call(how, work).catch((error: unknown) => {
        const isGone = error instanceof SluiceError && error.code === "pinecone.index-missing";
        throw isGone ? indexGone(config, error) : error;
      }),
  };
}

function indexGone(config: PineconeConfig, cause: SluiceError): ConfigError {
  const isCreated = creationOf(config) !== undefined;
  const first = isCreated
    ? "Nothing: it is created when the sink opens again, in a moment."
    : 'Create it, or set "create": true.';
  return new ConfigError(`pinecone: the index ${config.index} is gone since it was opened.`, {
    code: "pinecone.index-gone",
    fix: `${first} Then \`sluice verify SINK --repair\` has all documents sent again.`,
    cause,
  });
}

const namespacesAPage = 100;
/** What satisfies the client: it does not see what is sent. */
const placeholder = [{ id: "placeholder", values: [1] }];

function callOf(run: StoreRun, costs: readonly Cost[], body?: Buffer): Call {
  return {
    signal: run.signal,
    costs,
    ...(body && { body }),
    get deadline() {
      return run.deadline ?? Infinity;
    },
  };
}

/** What calls take of Pinecone's limits: most hold for a namespace, reads of ids for the index. */
function costs(rates: Rates | undefined) {
  const of = (name: string, perSecond: number | undefined, amount = 1): Cost[] =>
    perSecond === undefined ? [] : [{ name, perSecond, amount }];
  return {
    upsert: (namespace: string, bytes: number) => [
      ...of(`upserts ${namespace}`, rates?.upsertsPerSecond),
      ...of(`upserted ${namespace}`, rates?.upsertedMBPerSecond, bytes / 1e6),
    ],
    remove: (namespace: string, ids: number) => [
      ...of(`deletes ${namespace}`, rates?.deletesPerSecond),
      ...of(`deleted ${namespace}`, rates?.deletedIdsPerSecond, ids),
    ],
    query: (namespace: string) => of(`queries ${namespace}`, rates?.queriesPerSecond),
    fetch: () => of("fetches", rates?.fetchesPerSecond),
    list: () => of("lists", rates?.listsPerSecond),
  };
}

/** The index once it can be written to; created first when it is missing and may be. */
async function readyIndex(
  client: Pinecone,
  http: Requests,
  options: PineconeStoreOptions,
): Promise<IndexModel> {
  const { config, signal, log } = options;
  let mayCreate = options.readOnly !== true;
  for (let polls = 0; polls < maxPolls; polls++) {
    try {
      const { result } = await http.call({ signal }, () => client.describeIndex(config.index));
      if (result.status.ready) return result;
      await sleep(pollMs, undefined, { signal });
    } catch (error) {
      const isMissing = error instanceof SluiceError && error.code === "pinecone.index-missing";
      const creation = creationOf(config);
      const { dimensions } = options;
      if (!isMissing || !mayCreate || creation === undefined || dimensions === undefined)
        throw error;
      mayCreate = false;
      const { metric, ...serverless } = creation;
      log.info({ index: config.index, dimensions, ...creation }, "index created");
      await create(http, signal, () =>
        client.createIndex({
          name: config.index,
          dimension: dimensions,
          metric,
          spec: { serverless },
          suppressConflicts: true,
        }),
      );
    }
  }
  throw new RetryableError(`pinecone: the index ${config.index} is still not ready.`, {
    code: "pinecone.index-not-ready",
    reason: "unreachable",
    fix: "Look at the index in the Pinecone console.",
  });
}

async function create(
  http: Requests,
  signal: AbortSignal,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await http.call({ signal }, work);
  } catch (error) {
    if (!(error instanceof PoisonError)) throw error;
    throw new ConfigError(error.message, {
      code: "pinecone.not-created",
      fix: 'Correct "index" and "create", or create the index yourself.',
      cause: error,
    });
  }
}

/** Of a question no record is wrong and nothing can be replayed. */
function badQuery(message: string): SluiceError {
  return new SluiceError(message.replace("the request", "the query"), {
    code: "pinecone.bad-query",
    fix: "Correct the query: the filter's operators and values, or how many matches it asks for.",
  });
}

async function serve(dir: string, readOnly: boolean) {
  const { startLocalPinecone } = await import("./local/server.ts");
  return startLocalPinecone({ host: "127.0.0.1", port: 0, dir, readOnly });
}

function dimensionsOf({ name, dimension }: IndexModel): number {
  if (dimension !== undefined) return dimension;
  throw notDense(name, "it has no dimension");
}

function metricOf({ name, metric }: IndexModel): "cosine" | "dotproduct" | "euclidean" {
  if (metric === "cosine" || metric === "dotproduct" || metric === "euclidean") return metric;
  throw notDense(name, `its metric is ${metric}`);
}

function notDense(name: string, why: string): ConfigError {
  return new ConfigError(`pinecone: the index ${name} is not a dense one: ${why}.`, {
    code: "pinecone.index-not-dense",
    fix: "Use an index of dense vectors.",
  });
}
