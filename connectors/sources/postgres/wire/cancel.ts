import { connect } from "node:net";
import type { Target } from "./url.ts";

const cancelCode = 80_877_102;
const waitMs = 500;

/**
 * Asks the server to break off what its process `pid` does: a server that waits does not look at a
 * closed socket, and would go on making a slot for nobody. Best effort: resolves in any case.
 */
export function cancel(target: Target, pid: number, secret: number): Promise<void> {
  const request = Buffer.alloc(16);
  request.writeInt32BE(16, 0);
  request.writeInt32BE(cancelCode, 4);
  request.writeInt32BE(pid, 8);
  request.writeInt32BE(secret, 12);
  return new Promise((resolve) => {
    const socket = target.host.startsWith("/")
      ? connect(`${target.host}/.s.PGSQL.${target.port}`)
      : connect(target.port, target.host);
    // The server closes without an answer once it has passed the request on.
    socket.on("connect", () => socket.write(request));
    socket.setTimeout(waitMs, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve());
    socket.resume();
  });
}
