import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SluiceError } from "../errors.ts";
import type { PipelineStatus } from "./status.ts";

export interface Admin {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/**
 * Serves the read-only admin API: `/healthz` (the process answers), `/readyz` (200 once every
 * connector runs, stands by or has ended on purpose, else 503), `/connectors` and `/connectors/NAME`.
 */
export async function serveAdmin(
  listen: { readonly host: string; readonly port: number },
  status: () => Promise<PipelineStatus>,
): Promise<Admin> {
  const server = createServer((request, response) => {
    answer(request, status).then(
      ([code, body]) => reply(response, code, body),
      (error: unknown) => reply(response, 500, { error: String(error) }),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(notListening(listen, error)));
    server.listen(listen.port, listen.host, resolve);
  });
  server.unref();
  const { address, port, family } = server.address() as AddressInfo; // a TCP server has one
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  request: IncomingMessage,
  status: () => Promise<PipelineStatus>,
): Promise<[code: number, body: unknown]> {
  // A page in a browser must not read this through a name that resolves to 127.0.0.1 (DNS rebinding).
  const host = request.headers.host ?? "";
  if (!/^(localhost|[\d.]+|\[[\da-f:]+\])(:\d+)?$/i.test(host))
    return [403, { error: `Host ${JSON.stringify(host)} is not an address.` }];
  if (request.method !== "GET") return [405, { error: "The admin API is read-only." }];
  const { pathname } = new URL(request.url ?? "/", "http://admin");
  if (pathname === "/healthz") return [200, { ok: true }];
  const now = await status();
  if (pathname === "/readyz") {
    const notReady = now.connectors.filter(
      ({ state }) => state !== "running" && state !== "standby" && state !== "stopped",
    );
    return [
      notReady.length === 0 ? 200 : 503,
      { ready: notReady.length === 0, waitingFor: notReady.map(({ name }) => name) },
    ];
  }
  if (pathname === "/connectors") return [200, now];
  const name = /^\/connectors\/([^/]+)$/.exec(pathname)?.[1];
  const connector = now.connectors.find((one) => one.name === name);
  if (connector) return [200, connector];
  return [
    404,
    {
      error: `Nothing at ${pathname}.`,
      paths: ["/healthz", "/readyz", "/connectors", "/connectors/NAME"],
    },
  ];
}

function reply(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}

function notListening(listen: { host: string; port: number }, cause: Error): SluiceError {
  return new SluiceError(
    `admin: cannot listen on ${listen.host}:${listen.port} (${cause.message}).`,
    {
      code: "admin.port-in-use",
      fix: "Choose another address with --admin HOST:PORT, or leave it out for a free port.",
      cause,
    },
  );
}
