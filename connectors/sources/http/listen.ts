import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { inUrl, RetryableError } from "sluice";
import type { Options } from "./config.ts";

type Place = Pick<Options, "host" | "port">;

/** A server that takes requests until it is closed. */
export interface Listening {
  readonly url: string;
  /** Takes no more connections, lets answers that are being sent out, and cuts what is left after half a second. */
  readonly close: () => Promise<void>;
}

const maxHeaderBytes = 16_384;
const keepAliveMs = 65_000; // longer than the 60 s of common proxies: who closes first may cost a request
const checkEveryMs = 500;
const idleEveryMs = 20;
const graceMs = 500;

/** Listens with bounds on connections, headers and time. Throws `RetryableError` where it cannot. */
export async function listen(
  config: Place & Pick<Options, "maxConnections" | "requestSeconds">,
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Listening> {
  const { host, port, maxConnections, requestSeconds } = config;
  const server = createServer({
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout: keepAliveMs,
    requestTimeout: requestSeconds * 1_000,
    headersTimeout: Math.ceil((requestSeconds * 1_000) / 3),
    connectionsCheckingInterval: checkEveryMs,
  });
  server.maxConnections = maxConnections;
  const serve = (request: IncomingMessage, response: ServerResponse) =>
    void handle(request, response);
  server.on("request", serve);
  // `handle` says when the body may come: what is refused is not sent at all.
  server.on("checkContinue", serve);
  try {
    server.listen({ host, port, backlog: maxConnections }); // of many callers at once none must try again
    await once(server, "listening");
  } catch (cause) {
    throw notListening(config, cause as NodeJS.ErrnoException);
  }
  return {
    url: `http://${inUrl(host)}:${(server.address() as AddressInfo).port}`,
    close: async () => {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      // Connections that are kept open end with the answer that they wait for.
      const idle = setInterval(() => server.closeIdleConnections(), idleEveryMs);
      const cut = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearInterval(idle);
      clearTimeout(cut);
    },
  };
}

/** Throws `RetryableError` when it would not be possible to listen there now. */
export async function tryToListen(place: Place): Promise<void> {
  const trial = await listen({ ...place, maxConnections: 1, requestSeconds: 1 }, async () => {});
  await trial.close();
}

function notListening({ host, port }: Place, cause: NodeJS.ErrnoException): RetryableError {
  const { code = cause.message } = cause;
  if (code === "EADDRINUSE")
    return new RetryableError(`http: port ${port} of ${host} is in use.`, {
      code: "http.port-in-use",
      reason: "refused",
      fix: "Stop what listens there, or choose another `port`.",
      cause,
    });
  return new RetryableError(`http: cannot listen on port ${port} of ${host} (${code}).`, {
    code: "http.not-listening",
    reason: "refused",
    fix:
      code === "EACCES"
        ? "Choose a `port` above 1023."
        : "Set `host` to an address of this machine, e.g. 127.0.0.1, or 0.0.0.0 for all of them.",
    cause,
  });
}
