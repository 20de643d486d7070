import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { LocalOptions } from "./server.ts";

/** A server in a process of its own, to be killed. Waits until it listens. */
export async function startChild(
  options: Pick<LocalOptions, "dir" | "embedding" | "apiKey">,
): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const module = JSON.stringify(new URL("./server.js", import.meta.url).href);
  const given = JSON.stringify({ host: "127.0.0.1", port: 0, ...options });
  const script = `import { startLocalPinecone } from ${module}; console.log((await startLocalPinecone(${given})).url);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [url] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  return { child, url: url.trim() };
}

export interface Told {
  readonly status: number;
  readonly header: (name: string) => string | undefined;
  readonly body: Record<string, never> | undefined;
}

/** Asks as a client would. A text body is sent as it is. */
export async function ask(
  url: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Told> {
  const response = await fetch(url + path, {
    method,
    headers: { "Api-Key": "any" },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? undefined,
    body: text === "" ? undefined : (JSON.parse(text) as Record<string, never>),
  };
}

export const serverless = { serverless: { cloud: "aws", region: "us-east-1" } };
