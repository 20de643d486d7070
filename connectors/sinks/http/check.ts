import { once } from "node:events";
import { connect } from "node:net";
import type { Context, Finding } from "sluice";
import type { Options } from "./config.ts";
import { unreachable } from "./refusals.ts";

/** Opens a connection and sends nothing: a request could have an effect there. */
export async function check({
  config: { url, timeoutSeconds },
  signal,
}: Pick<Context<Options>, "config" | "signal">): Promise<readonly Finding[]> {
  const { hostname, port, protocol, host } = new URL(url);
  const socket = connect({
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || (protocol === "https:" ? 443 : 80)),
  });
  const patience = AbortSignal.timeout(timeoutSeconds * 1_000);
  try {
    await once(socket, "connect", { signal: AbortSignal.any([signal, patience]) });
    return [
      { severity: "ok", code: "http.reachable", message: `http: ${host} takes connections.` },
    ];
  } catch (cause) {
    signal.throwIfAborted();
    const { code, message, fix } = unreachable(
      host,
      patience.aborted ? patience.reason : new Error("no connection", { cause }),
      timeoutSeconds,
    );
    return [{ severity: "error", code, message, ...(fix !== undefined && { fix }) }];
  } finally {
    socket.destroy();
  }
}
