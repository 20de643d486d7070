import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Answers at once: for those that wait for an answer however long it takes. */
export async function openService(): Promise<{
  readonly ask: () => Promise<void>;
  readonly close: () => Promise<void>;
}> {
  const server = createServer((_, response) => response.end("done")).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    ask: async () => void (await (await fetch(`http://127.0.0.1:${port}`)).text()),
    close: async () => {
      if (!server.listening) return;
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
