import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Context, Log, StateStore } from "sluice";
import { openEmbedder, type EmbeddingConfig } from "../../../_shared/embedders/embedding.ts";
import { openApi } from "./api.ts";
import { openDatabase } from "./database.ts";
import { openFaults } from "./faults.ts";
import { notListening } from "./listening.ts";
import { openLog, type Served } from "./log.ts";
import { openRates } from "./rates.ts";
import { serve, type Intercept, type OnWrite, type Service } from "./service.ts";
import { standardSettings } from "./settings.ts";
import { openTextModel } from "./text-model.ts";

export type { Fault } from "./faults.ts";

export interface LocalPinecone {
  /** Give it to the client as `controllerHostUrl`. */
  readonly url: string;
  /** The last 1,000 requests, oldest first. */
  readonly requests: () => readonly Served[];
  /**
   * Takes no more connections, gives requests in progress `graceMs` (0) to be answered, cuts what is still open and
   * closes the file.
   */
  readonly close: (options?: { readonly graceMs?: number }) => Promise<void>;
}

export interface LocalOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly dir: string;
  /** Refuse to create or change anything. */
  readonly readOnly?: boolean;
  /** The only key that is let in; without it any key is. */
  readonly apiKey?: string;
  /** What embeds the texts of records; the local model by default. */
  readonly embedding?: EmbeddingConfig;
  /** Most bytes of vectors to hold in memory for searching: 1 GiB by default, 4 GiB at most. */
  readonly maxMemoryBytes?: number;
  /** Longest request line and headers: 16 KiB by default, as the real service takes. */
  readonly maxHeaderBytes?: number;
  readonly log?: Log;
  readonly intercept?: Intercept;
  readonly onWrite?: OnWrite;
}

const standardMemoryBytes = 2 ** 30;
const maxMemoryBytes = 2 ** 32 - 2 ** 20; // what 32-bit addresses reach, less what the kernel takes
const standardHeaderBytes = 16_384;
// Longer than clients keep idle connections: one that we close first may cost them a request.
const keepAliveMs = 90_000;
/** How often closing looks for connections that have become idle. */
const idleMs = 20;
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * Serves Pinecone's API over `dir/pinecone.db`. All state is in that file: an acknowledged write
 * survives a kill, and several servers, in several processes, may serve one folder at once.
 */
export async function startLocalPinecone(options: LocalOptions): Promise<LocalPinecone> {
  const { readOnly = false, embedding = { provider: "local" }, log = quiet } = options;
  const database = openDatabase(options.dir, { readOnly });
  const { signal } = new AbortController();
  const model = openTextModel(() => openEmbedder(embedding, embedderContext(signal, log)));
  const maxBytes = Math.min(options.maxMemoryBytes ?? standardMemoryBytes, maxMemoryBytes);
  let url = "";
  const service: Service = {
    database,
    api: openApi({ database, readOnly, model, maxBytes }),
    log: openLog(),
    faults: openFaults(),
    rates: openRates(),
    settings: { current: standardSettings },
    host: options.host,
    apiKey: options.apiKey,
    address: () => url,
    intercept: options.intercept,
    onWrite: options.onWrite,
  };

  const http = createServer(
    {
      maxHeaderSize: options.maxHeaderBytes ?? standardHeaderBytes,
      keepAliveTimeout: keepAliveMs,
    },
    (request, response) => {
      void serve(service, request, response).catch(() => {
        // The connection broke while its body was read: there is nobody to answer. Or an answer cannot be written:
        // a client must not wait for it.
        request.destroy();
        response.destroy();
      });
    },
  );
  try {
    http.listen({ host: options.host, port: options.port });
    await once(http, "listening");
  } catch (error) {
    database.close();
    throw notListening(options, error as NodeJS.ErrnoException); // as `listen` emits them
  }
  const { port } = http.address() as AddressInfo;
  url = `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`;

  return {
    url,
    requests: service.log.requests,
    close: async ({ graceMs = 0 } = {}) => {
      if (http.listening) {
        const closed = once(http, "close");
        http.close();
        // Connections that clients keep open end with the answer that they wait for.
        const idle = setInterval(() => http.closeIdleConnections(), idleMs);
        const cut = setTimeout(() => http.closeAllConnections(), graceMs);
        await closed;
        clearInterval(idle);
        clearTimeout(cut);
      }
      await model.close();
      service.api.mirrors.close();
      database.close();
    },
  };
}

/** The server is no connector: an embedder keeps nothing here. */
function embedderContext(signal: AbortSignal, log: Log): Context<unknown> {
  const state: StateStore = {
    get: async (keys) => keys.map(() => undefined),
    each: async (writes) => writes.map(() => true),
    all: async () => true,
    async *scan() {},
  };
  return { name: "pinecone", project: "local", config: {}, signal, log, state, meter: () => {} };
}
