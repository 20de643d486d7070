import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError } from "sluice";
import { parseBody, readBody, type Body } from "./body.ts";
import type { Answer } from "./call.ts";
import { openDatabase } from "./database.ts";
import { isOwnHost } from "./host.ts";
import { lagging, type Answering } from "./lag.ts";
import { Refusal } from "./refusal.ts";
import { answer, isControl } from "./routes.ts";

/** What a test does to a request instead of answering it truly. `reset-after` applies it first, `delayMs` answers truly, but late. */
export type Fault =
  | { readonly delayMs: number }
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
    }
  | "reset-before"
  | "reset-after"
  | "hang";

export interface Served {
  readonly method: string;
  /** With the query string. */
  readonly path: string;
  readonly bytes: number;
  /** 0 where the connection was cut or left hanging. */
  readonly status: number;
}

export interface LocalPinecone {
  /** Give it to the client as `controllerHostUrl`. */
  readonly url: string;
  /** The last 1,000 requests, oldest first. */
  readonly requests: () => readonly Served[];
  /** Cuts open connections and closes the file. */
  readonly close: () => Promise<void>;
}

const maxRequestsKept = 1_000;

/**
 * Serves Pinecone's API over `dir/pinecone.db`. All state is in that file: an acknowledged write
 * survives a kill, and several servers, in several processes, may serve one folder at once.
 */
export async function startLocalPinecone(options: {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly dir: string;
  /** Refuse to create or change anything. */
  readonly readOnly?: boolean;
  readonly intercept?: (request: {
    readonly method: string;
    readonly path: string;
    readonly body: string;
  }) => Fault | undefined;
  /** Told of every write that was applied, also where its answer is then lost. */
  readonly onWrite?: (write: {
    readonly path: string;
    readonly body: string;
    readonly lsn: number;
  }) => void;
  /** How many milliseconds readers are behind, asked at each write. For a fresh folder. */
  readonly indexDelayMs?: () => number;
}): Promise<LocalPinecone> {
  const { dir, indexDelayMs } = options;
  const database = openDatabase(dir, { readOnly: options.readOnly ?? false });
  const answering: Answering =
    indexDelayMs === undefined
      ? { answer: (...given) => answer(database, ...given), close: () => {} }
      : lagging(database, dir, indexDelayMs);
  const served: Served[] = [];
  let url = "";

  const server = createServer((request, response) => {
    void serve(request, response).catch(() => {
      // The connection broke while its body was read: there is nobody to answer.
      request.destroy();
    });
  });

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "GET", url: path = "/" } = request;
    const body = await readBody(request);
    const note = (status: number): void => {
      served.push({ method, path, bytes: body.bytes, status });
      if (served.length > maxRequestsKept) served.shift();
    };
    const fault = options.intercept?.({ method, path, body: body.text });
    if (fault === "hang") return note(0);
    if (fault === "reset-before") {
      note(0);
      request.socket.destroy();
      return;
    }
    if (typeof fault === "object" && "status" in fault) {
      note(fault.status);
      return send(response, fault.status, fault.body, fault.headers);
    }
    if (typeof fault === "object") await sleep(fault.delayMs);
    const { status = 200, body: result, ...lsns } = outcome(request, body);
    if (lsns.written !== undefined) options.onWrite?.({ path, body: body.text, lsn: lsns.written });
    if (fault === "reset-after") {
      note(0);
      request.socket.destroy();
      return;
    }
    note(status);
    send(response, status, result, lsnHeaders(lsns));
  };

  const outcome = (request: IncomingMessage, body: Body): Answer => {
    const [pathname = "/", search = ""] = (request.url ?? "/").split("?", 2);
    // A host that ends with a slash makes clients send two.
    const path = pathname.replaceAll(/\/{2,}/g, "/");
    try {
      const { host } = request.headers;
      if (host !== undefined && !isOwnHost(host, options.host))
        throw new Refusal(
          403,
          7,
          `Host ${JSON.stringify(host)} is neither an address nor the name this server listens on: use its address, or start it with that name as its host`,
        );
      if (!request.headers["api-key"])
        throw new Refusal(401, 16, "Invalid API Key: the Api-Key header is missing");
      const query = new URLSearchParams(search);
      // As the client reached us, which may be another name than the one we listen on.
      return answering.answer(host === undefined ? url : `http://${host}`, {
        method: request.method ?? "GET",
        path,
        query,
        body: parseBody(body, path),
      });
    } catch (error) {
      const refusal = toRefusal(error);
      return {
        status: refusal.status,
        body: isControl(path) ? controlError(refusal) : dataError(refusal),
      };
    }
  };

  try {
    server.listen({ host: options.host, port: options.port });
    await once(server, "listening");
  } catch (error) {
    answering.close();
    database.close();
    throw notListening(options, error as NodeJS.ErrnoException); // as `listen` emits them
  }
  const { port } = server.address() as AddressInfo;
  url = `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`;

  return {
    url,
    requests: () => [...served],
    close: async () => {
      if (server.listening) {
        const closed = once(server, "close");
        server.close();
        server.closeAllConnections();
        await closed;
      }
      answering.close();
      database.close();
    },
  };
}

function notListening(
  { host, port }: { readonly host: string; readonly port: number },
  cause: NodeJS.ErrnoException,
): ConfigError {
  const { code = cause.message } = cause;
  if (code === "EADDRINUSE")
    return new ConfigError(`pinecone: port ${port} of ${host} is in use.`, {
      code: "pinecone.port-in-use",
      fix: "Stop what listens there, or choose another port (0 takes a free one).",
      cause,
    });
  return new ConfigError(`pinecone: cannot listen on ${host}:${port} (${code}).`, {
    code: "pinecone.not-listening",
    fix:
      code === "EACCES"
        ? "Choose a port above 1023."
        : "Listen on an address of this machine, e.g. 127.0.0.1, or 0.0.0.0 for all of them.",
    cause,
  });
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, {
    ...(text !== "" && { "content-type": "application/json" }),
    "x-pinecone-request-id": randomUUID(),
    "content-length": Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

function lsnHeaders({ written, indexed }: Answer): Record<string, string> {
  return {
    ...(written !== undefined && { "x-pinecone-request-lsn": String(written) }),
    ...(indexed !== undefined && { "x-pinecone-max-indexed-lsn": String(indexed) }),
  };
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const { code, message } = error as { code?: string; message?: string };
  // Another process kept the file's write lock longer than we wait: the caller may try again.
  if (code?.startsWith("SQLITE_BUSY") === true)
    return new Refusal(503, 14, "the database file is busy");
  return new Refusal(500, 13, message ?? "internal error");
}

function dataError({ code, message }: Refusal) {
  return { code, message, details: [] };
}

function controlError({ status, message }: Refusal) {
  const names: Record<number, string> = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    501: "UNIMPLEMENTED",
  };
  return { status, error: { code: names[status] ?? "UNKNOWN", message } };
}
