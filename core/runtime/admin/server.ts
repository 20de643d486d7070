import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import type { Log } from "../../connector.ts";
import { ConfigError, SluiceError } from "../../errors.ts";
import { inUrl, isLoopback, isOwnHost } from "../../own-host.ts";
import { problem, routes, type Answer, type Managed } from "./routes.ts";

export interface Admin {
  /** As other machines reach it. */
  readonly url: string;
  readonly close: () => Promise<void>;
}

export interface Listen {
  readonly host: string;
  readonly port: number;
  /** Asked of every request but `/healthz` and `/readyz`. Required where others than this machine can connect. */
  readonly token?: string;
}

const maxBodyBytes = 64 * 1024;
const open = new Set(["/healthz", "/readyz"]);

/** Serves the admin API that `openapi.ts` describes. Throws `ConfigError` `admin.token-required`, `SluiceError` `admin.port-in-use`. */
export async function serveAdmin(listen: Listen, managed: Managed, log: Log): Promise<Admin> {
  const { host, port, token } = listen;
  if (token === undefined && !isLoopback(host))
    throw new ConfigError(
      `admin: ${host} can be reached from other machines, and there is no token.`,
      {
        code: "admin.token-required",
        fix: "Set SLUICE_ADMIN_TOKEN to a long random text, here and where commands ask, or listen on 127.0.0.1.",
      },
    );
  const server = createServer((request, response) => {
    answer(request, listen, managed)
      .catch((error: unknown) => {
        log.error({ error }, "admin request failed");
        return problem(500, "admin.failed", "The request failed; the log says why.");
      })
      .then((reply) => send(response, reply, request.method === "HEAD"))
      .catch((error: unknown) => log.debug({ error }, "admin answer not sent"));
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 30_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(notListening(listen, error)));
    server.listen(port, host, resolve);
  });
  server.unref();
  return {
    url: urlOf(server.address() as AddressInfo), // a TCP server has one
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(request: IncomingMessage, listen: Listen, managed: Managed): Promise<Answer> {
  const { token } = listen;
  const path = pathOf(request.url);
  if (path === undefined)
    return problem(400, "admin.bad-url", `${JSON.stringify(request.url)} is no path.`);
  if (token === undefined) {
    const refusal = foreign(request, listen.host);
    if (refusal) return refusal;
  } else if (!open.has(path) && !isAllowed(request.headers.authorization, token))
    return {
      ...problem(401, "admin.unauthorized", "Send the token: Authorization: Bearer TOKEN."),
      headers: { "www-authenticate": "Bearer" },
    };

  const route = routes.find(({ pattern }) => pattern.test(path));
  if (!route)
    return problem(404, "admin.not-found", `There is nothing at ${path}. See /openapi.json.`);
  const method = request.method === "HEAD" ? "GET" : (request.method ?? "");
  const handle = route.methods[method];
  if (!handle) {
    const allow = Object.keys(route.methods).join(", ");
    return { ...problem(405, "admin.method", `${path} takes ${allow}.`), headers: { allow } };
  }
  const name = route.pattern.exec(path)?.groups?.["name"] ?? "";
  if (name !== "" && !managed.names.includes(name))
    return problem(
      404,
      "admin.unknown-name",
      `There is no connector ${JSON.stringify(name)} here.`,
    );
  const body = method === "GET" ? { text: "" } : await read(request);
  if (body === undefined)
    return problem(413, "admin.too-large", `A body may have ${maxBodyBytes} bytes.`);
  return await handle({ name, body: body.text }, managed);
}

/** A page in a browser must not reach this: neither through a name that resolves to 127.0.0.1, nor by posting across origins. */
function foreign({ headers }: IncomingMessage, listensOn: string): Answer | undefined {
  const { host, origin } = headers;
  if (!isOwnHost(host, listensOn))
    return problem(
      403,
      "admin.foreign",
      `Host ${JSON.stringify(host)} is not an address.`,
      "Call it by its address.",
    );
  if (origin !== undefined)
    return problem(403, "admin.foreign", "Pages of a browser may not use this without a token.");
  return undefined;
}

function isAllowed(authorization: string | undefined, token: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization ?? ""), digest(`Bearer ${token}`));
}

/** Undefined where it is no path at all. Names need no escapes: they are lower-case letters, digits and dashes. */
function pathOf(url: string | undefined): string | undefined {
  const [path = ""] = (url ?? "").split("?", 1);
  return path.startsWith("/") ? path : undefined;
}

/** Undefined when it is too large. */
async function read(request: IncomingMessage): Promise<{ readonly text: string } | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > maxBodyBytes) return undefined;
    pieces.push(piece);
  }
  return { text: Buffer.concat(pieces).toString("utf8") };
}

function send(
  response: ServerResponse,
  { code, body, headers = {} }: Answer,
  isHead: boolean,
): void {
  const isText = typeof body === "string";
  response.writeHead(code, {
    "content-type": isText ? "text/plain; version=0.0.4; charset=utf-8" : "application/json",
    "cache-control": "no-store",
    // What was not read of a request must not be taken for the next one.
    ...(code === 413 && { connection: "close" }),
    ...headers,
  });
  if (isHead) response.end();
  else response.end(isText ? body : `${JSON.stringify(body)}\n`);
}

function urlOf({ address, port }: AddressInfo): string {
  if (address === "0.0.0.0" || address === "::") return `http://${hostname()}:${port}`;
  return `http://${inUrl(address)}:${port}`;
}

function notListening({ host, port }: Listen, cause: Error): SluiceError {
  return new SluiceError(`admin: cannot listen on ${host}:${port} (${cause.message}).`, {
    code: "admin.port-in-use",
    fix: "Choose another address with --admin HOST:PORT, or leave it out for a free port.",
    cause,
  });
}
