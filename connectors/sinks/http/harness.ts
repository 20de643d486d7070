import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface Received {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A webhook: keeps what it gets, and answers as it is told (204 by default). */
export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  readonly close: () => Promise<void>;
}

export async function startReceiver(
  answer: (request: Received, response: ServerResponse, count: number) => unknown = () => 204,
): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const take = async () => {
      const one = { url: request.url ?? "", headers: request.headers, body: await text(request) };
      received.push(one);
      const status = answer(one, response, received.length);
      if (typeof status === "number") response.writeHead(status).end();
    };
    void take().catch(() => response.destroy()); // the sender has gone
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
