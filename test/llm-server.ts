import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

/** A request to the chat service. */
export interface ChatAsked {
  readonly headers: IncomingHttpHeaders;
  readonly path: string;
  readonly body: {
    readonly model?: string;
    readonly stream?: boolean;
    readonly max_tokens?: number;
    readonly messages: readonly { readonly role: string; readonly content: string }[];
  };
}

/** What it does: answers, streamed in words; answers so and breaks off; says something else; or nothing. */
export type ChatSaid =
  | { readonly text: string; readonly finish?: string; readonly isWhole?: boolean }
  | { readonly text: string; readonly cutAfter: "words" | "finish" | "half a line" }
  | {
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body: string | object;
    }
  | { readonly status: number; readonly endless: string }
  | "hang"
  | "hang after a word"
  | "reset";

export interface LlmServer {
  /** Base of its API. */
  readonly url: string;
  readonly asked: readonly ChatAsked[];
  readonly close: () => Promise<void>;
}

/** An OpenAI-compatible chat service over real HTTP. It streams word by word, counts words as tokens, and fails as told. */
export async function startLlmServer(
  answer: (asked: ChatAsked) => ChatSaid | Promise<ChatSaid>,
): Promise<LlmServer> {
  const asked: ChatAsked[] = [];
  const server = createServer((request, response) => {
    const serve = async () => {
      const body = (await json(request)) as ChatAsked["body"];
      const one = { headers: request.headers, path: request.url ?? "", body };
      asked.push(one);
      await say(response, await answer(one), one);
    };
    serve().catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo; // a TCP server has one
  return {
    url: `http://127.0.0.1:${port}/v1`,
    asked,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function say(response: ServerResponse, said: ChatSaid, { body }: ChatAsked): Promise<void> {
  if (said === "hang") return;
  if (said === "reset") return void response.destroy();
  if (said !== "hang after a word" && "endless" in said) {
    response.writeHead(said.status, { "content-type": "application/json" });
    const more = Buffer.alloc(2 ** 20, said.endless);
    while (!response.closed) await new Promise((sent) => response.write(more, sent));
    return;
  }
  if (said !== "hang after a word" && "body" in said) {
    const type = { "content-type": "application/json" };
    response.writeHead(said.status ?? 200, { ...type, ...said.headers });
    response.end(typeof said.body === "string" ? said.body : JSON.stringify(said.body));
    return;
  }
  const text = said === "hang after a word" ? "One" : said.text;
  const prompt = body.messages
    .map(({ content }) => content)
    .join(" ")
    .split(/\s+/).length;
  const words = text.split(/(?<=\s)/);
  const usage = { prompt_tokens: prompt, completion_tokens: words.length };
  const finish = said !== "hang after a word" && "finish" in said ? said.finish : "stop";
  if (said !== "hang after a word" && "isWhole" in said && said.isWhole) {
    const message = { role: "assistant", content: text };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ choices: [{ message, finish_reason: finish }], usage }));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  const send = async (piece: object | string): Promise<void> => {
    const data = typeof piece === "string" ? piece : JSON.stringify(piece);
    await new Promise((sent) => response.write(`data: ${data}\n\n`, sent));
  };
  for (const content of words)
    await send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
  if (said === "hang after a word") return;
  const cutAfter = "cutAfter" in said ? said.cutAfter : undefined;
  if (cutAfter === "half a line") {
    await new Promise((sent) => response.write('data: {"choices":[{"delta":{"con', sent));
    return void response.end();
  }
  if (cutAfter === "words") return void response.destroy();
  await send({ choices: [{ index: 0, delta: {}, finish_reason: finish ?? "stop" }] });
  if (cutAfter === "finish") return void response.end();
  await send({ choices: [], usage });
  await send("[DONE]");
  response.end();
}
