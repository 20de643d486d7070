import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";

export interface Server {
  readonly url: string;
  /** Throws when the answer is no success. A text body is sent as it is. */
  readonly call: (method: string, path: string, body: object | string) => Promise<string>;
  readonly rssMb: () => Promise<number>;
  /** Processor time it has used, which others on the machine disturb less than time on the clock. */
  readonly cpuMs: () => Promise<number>;
  readonly stop: () => Promise<void>;
}

const main = new URL("../../cli/main.js", import.meta.url).pathname;

/** `sluice pinecone` as a user starts it. */
export async function startServer(dir: string): Promise<Server> {
  const child = spawn(
    process.execPath,
    [main, "pinecone", "--port", "0", "--data", dir, "--json"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  const { url } = (JSON.parse(line) as { result: { url: string } }).result;
  const agent = new Agent({ keepAlive: true });
  let stopped = false;
  // Linux has these files; elsewhere the figures are null.
  const ofKernel = (file: string): Promise<string> =>
    readFile(`/proc/${child.pid}/${file}`, "utf8").catch(() => "");
  return {
    url,
    call: async (method, path, body) => {
      const asking = request(url + path, { method, agent, headers: { "api-key": "bench" } });
      asking.end(typeof body === "string" ? body : JSON.stringify(body));
      const [response] = (await once(asking, "response")) as [import("node:http").IncomingMessage];
      const answer = await text(response);
      const { statusCode = 0 } = response;
      if (statusCode >= 300) throw new Error(`${method} ${path}: ${statusCode} ${answer}`);
      return answer;
    },
    rssMb: async () => {
      const status = await ofKernel("status");
      return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? NaN) / 1024);
    },
    cpuMs: async () => {
      // Fields 14 and 15 of proc(5), in ticks of 10 ms.
      const fields = (await ofKernel("stat")).replace(/^.*\) /, "").split(" ");
      return (Number(fields[11] ?? NaN) + Number(fields[12] ?? NaN)) * 10;
    },
    stop: async () => {
      if (stopped) return;
      stopped = true;
      agent.destroy();
      const exited = once(child, "exit");
      child.kill();
      await exited;
    },
  };
}
