import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A local Pinecone-compatible server in a process of its own, over an empty folder. */
export interface BenchServer {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

export async function startServer(): Promise<BenchServer> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  const module = new URL("../../connectors/sinks/pinecone/local/server.js", import.meta.url).href;
  const options = { host: "127.0.0.1", port: 0, dir };
  const script = `import { startLocalPinecone } from ${JSON.stringify(module)}; console.log((await startLocalPinecone(${JSON.stringify(options)})).url);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [url] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  return {
    url: url.trim(),
    stop: async () => {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}
