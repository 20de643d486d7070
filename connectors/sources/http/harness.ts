import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { fakes, type SourceRun } from "sluice/testing";
import { http } from "./http.ts";

/** A source at work over a free port. */
export interface Listening {
  readonly url: string;
  readonly run: SourceRun;
  readonly post: (path: string, body: unknown, headers?: Record<string, string>) => Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** Starts a source as the runner drives it, and resolves when it listens. */
export async function startHttp(
  config: object = {},
  more: Partial<Parameters<typeof fakes.run>[1]> = {},
): Promise<Listening> {
  const run = await fakes.run(http, { config: { port: 0, ...config }, ...more });
  const url = await listeningAt(run);
  return { url, run, post: (path, body, headers) => post(url + path, body, headers) };
}

async function listeningAt(run: SourceRun): Promise<string> {
  const until = performance.now() + 5_000;
  for (;;) {
    const line = run.lines.find(({ message }) => message === "listening");
    if (line) return (line.fields as { url: string }).url;
    if (performance.now() > until) throw new Error("the source does not listen");
    await Promise.race([run.ended, new Promise((resolve) => setTimeout(resolve, 5))]);
  }
}

/** Text goes as it is, anything else as JSON. */
export async function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/cloudevents+json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  return {
    status: response.status,
    headers: response.headers,
    body: isJson ? (JSON.parse(text) as unknown) : text,
  };
}

/** A CloudEvent of a stranger. */
export function stranger(id: string, more: object = {}): object {
  return { specversion: "1.0", id, source: "/shop", type: "com.shop.order", data: { id }, ...more };
}

/** Writes bytes to a server past any client, and keeps what comes back. */
export async function rawSocket(url: string): Promise<{
  readonly socket: Socket;
  readonly heard: () => string;
  readonly closed: Promise<unknown>;
}> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  await once(socket, "connect");
  let heard = "";
  socket.setEncoding("utf8").on("data", (text: string) => (heard += text));
  socket.on("error", () => {}); // a reset is one way of being closed
  return {
    socket,
    heard: () => heard,
    closed: new Promise((resolve) => socket.once("close", resolve)),
  };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Waits for a condition, 5 s at most. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 5_000;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
