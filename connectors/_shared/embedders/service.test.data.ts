import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { json } from "node:stream/consumers";
import type { AddressInfo } from "node:net";

/** A request to an embedding service. */
export interface Asked {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: {
    readonly model?: string;
    readonly input?: readonly string[];
    readonly inputs?: readonly { readonly text: string }[];
    readonly parameters?: object;
    readonly dimensions?: number;
    readonly encoding_format?: string;
  };
}

/** What it answers: a status and headers with a body, or nothing at all. */
export type Said =
  | {
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body: unknown;
    }
  | "hang"
  | "reset";

/** An embedding service over real HTTP, as its protocol has it. */
export async function startService(answer: (asked: Asked) => Said): Promise<{
  readonly url: string;
  readonly asked: Asked[];
  readonly close: () => Promise<void>;
}> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => void serve(request, response));
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = (await json(request)) as Asked["body"];
    const one = { path: request.url ?? "", headers: request.headers, body };
    asked.push(one);
    const said = answer(one);
    if (said === "hang") return;
    if (said === "reset") return void request.socket.destroy();
    response.writeHead(said.status ?? 200, { "content-type": "application/json", ...said.headers });
    response.end(typeof said.body === "string" ? said.body : JSON.stringify(said.body));
  }
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a TCP server has one
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
