import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "sluice";
import { openEmbedder, type EmbeddingConfig } from "../../../_shared/embedders/embedding.ts";
import { checkAccess } from "./access.ts";
import { administer, adminPath, type Administered } from "./admin.ts";
import { namespaceOf, openApi } from "./api.ts";
import { parseBody, readBody, type Body } from "./body.ts";
import { openDatabase } from "./database.ts";
import { openFaults, type Disturbance, type Fault } from "./faults.ts";
import { notListening } from "./listening.ts";
import { idsOf, openLog, type Served } from "./log.ts";
import { openRates } from "./rates.ts";
import { notFound } from "./refusal.ts";
import { send, toErrorReply, toReply, type Reply } from "./reply.ts";
import { isControl, routeOf, type Routed } from "./routes.ts";
import { standardSettings } from "./settings.ts";
import { openTextModel } from "./text-model.ts";

export type { Fault } from "./faults.ts";
export type { Served } from "./log.ts";

export interface LocalPinecone {
  /** Give it to the client as `controllerHostUrl`. */
  readonly url: string;
  /** The last 1,000 requests, oldest first. */
  readonly requests: () => readonly Served[];
  /** Cuts open connections and closes the file. */
  readonly close: () => Promise<void>;
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
  /** Most bytes of vectors to hold in memory for searching. */
  readonly maxMemoryBytes?: number;
  /** Longest request line and headers: 16 KiB by default, as the real service takes. */
  readonly maxHeaderBytes?: number;
  readonly log?: Log;
  readonly intercept?: (request: {
    readonly method: string;
    readonly path: string;
    readonly body: string;
  }) => Fault | undefined;
}

/** A request as it was read. */
interface Asked {
  readonly method: string;
  /** With the query string, as it came. */
  readonly url: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Body;
  readonly headers: IncomingMessage["headers"];
}

const standardMemoryBytes = 2 ** 30;
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * Serves Pinecone's API over `dir/pinecone.db`. All state is in that file: an acknowledged write
 * survives a kill, and several servers, in several processes, may serve one folder at once.
 */
export async function startLocalPinecone(options: LocalOptions): Promise<LocalPinecone> {
  const { readOnly = false, embedding = { provider: "local" }, log: warn = quiet } = options;
  const database = openDatabase(options.dir, { readOnly });
  const { signal } = new AbortController();
  const model = openTextModel(() => openEmbedder(embedding, { signal, log: warn }));
  const maxBytes = options.maxMemoryBytes ?? standardMemoryBytes;
  const api = openApi({ database, readOnly, model, maxBytes });
  const settings = { current: standardSettings };
  const server: Administered = { database, api, log: openLog(), faults: openFaults(), settings };
  const rates = openRates();
  let url = "";

  const http = createServer({ maxHeaderSize: options.maxHeaderBytes ?? 16_384 });
  http.on("request", (request, response) => {
    void serve(request, response).catch(() => {
      // The connection broke while its body was read: there is nobody to answer.
      request.destroy();
    });
  });

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    const { method = "GET", url: given = "/", headers } = request;
    const [pathname = "/", search = ""] = given.split("?", 2);
    // A host that ends with a slash makes clients send two.
    const path = pathname.replaceAll(/\/{2,}/g, "/");
    const asked = { method, url: given, path, query: new URLSearchParams(search), body, headers };
    if (path.startsWith(`${adminPath}/`)) return send(response, administered(asked));
    await disturbed(asked, request, response);
  };

  const administered = (asked: Asked): Reply => {
    try {
      checkAccess(asked.headers, { host: options.host, apiKey: options.apiKey, versions: [] });
      const body = parseBody(asked.body, asked.path);
      const answer = administer(server, asked.method, asked.path, { query: asked.query, body });
      return toReply(answer, standardSettings);
    } catch (error) {
      return toErrorReply(error, true);
    }
  };

  /** Answers a call of the API, or does what a fault says. */
  const disturbed = async (
    asked: Asked,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> => {
    const started = performance.now();
    const understood = understand(asked);
    const { operation, index, namespace } = understood;
    const { method, url: path, body } = asked;
    const done = server.log.begin({
      ...{ method, path, bytes: body.bytes, operation, index, namespace },
      ids: idsOf(understood.body, asked.query),
    });
    const fault =
      options.intercept?.({ method, path, body: body.text }) ??
      server.faults.of({ method, path, body: body.text, operation, index, namespace });
    if (fault === "hang") return done(0);
    if (fault === "reset-before") {
      done(0);
      request.socket.destroy();
      return;
    }
    if (typeof fault === "object" && "status" in fault) {
      done(fault.status);
      return send(response, fault);
    }
    const { delayMs = 0, dropHeaders = false, staleLsn = false, ...spoiling } = disturbance(fault);
    if (delayMs > 0) await sleep(delayMs);
    const reply = await answered(asked, understood, staleLsn);
    if (fault === "reset-after") {
      done(0);
      request.socket.destroy();
      return;
    }
    const latency = {
      "x-pinecone-request-latency-ms": String(Math.round(performance.now() - started)),
    };
    done(reply.status);
    await send(
      response,
      { ...reply, headers: dropHeaders ? {} : { ...latency, ...reply.headers } },
      spoiling,
    );
  };

  const understand = (asked: Asked): Understood => {
    const found: { routed?: Routed; body?: unknown; error?: unknown } = {};
    try {
      const routed = routeOf(asked.method, asked.path);
      if (routed !== undefined) found.routed = routed;
      else throw notFound(`${asked.method} ${asked.path} is not a call of this API`);
      // Records come as lines of JSON.
      const lines = routed.route.plane === "records" && routed.route.operation === "upsert";
      found.body = lines ? undefined : parseBody(asked.body, asked.path);
    } catch (error) {
      found.error = error;
    }
    const { routed, body } = found;
    return {
      ...{ routed, body, error: found.error },
      operation: routed?.route.operation,
      index: routed?.index,
      namespace: namespaceOf(routed, { query: asked.query, body }),
    };
  };

  const answered = async (
    asked: Asked,
    { routed, body, error, index = "", namespace }: Understood,
    staleLsn: boolean,
  ): Promise<Reply> => {
    const { headers, query } = asked;
    try {
      const { versions, rateLimits } = settings.current;
      checkAccess(headers, { host: options.host, apiKey: options.apiKey, versions });
      if (routed === undefined || error !== undefined) throw error;
      if (rateLimits !== null) {
        const { operation } = routed.route;
        const { bytes } = asked.body;
        rates.spend({ operation, index, namespace, bytes, body }, rateLimits, Date.now());
      }
      // As the client reached us, which may be another name than the one we listen on.
      const address = headers.host === undefined ? url : `http://${headers.host}`;
      const ask = { query, body, text: asked.body.text, address };
      const answer = await api.answer(routed, ask, settings.current);
      const { indexed } = answer;
      const told = staleLsn && indexed !== undefined ? { ...answer, indexed: indexed - 1 } : answer;
      return toReply(told, settings.current);
    } catch (error) {
      return toErrorReply(error, isControl(asked.path));
    }
  };

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
    requests: server.log.requests,
    close: async () => {
      if (http.listening) {
        const closed = once(http, "close");
        http.close();
        http.closeAllConnections();
        await closed;
      }
      await model.close();
      database.close();
    },
  };
}

interface Understood {
  readonly routed: Routed | undefined;
  readonly body: unknown;
  readonly error: unknown;
  readonly operation: string | undefined;
  readonly index: string | undefined;
  readonly namespace: string;
}

function disturbance(fault: Fault | undefined): Disturbance {
  return typeof fault === "object" && !("status" in fault) ? fault : {};
}
