// Serves feed.xml as a site would, and runs the pipeline on it: edit the file, and watch.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";

const file = new URL("feed.xml", import.meta.url);
const server = createServer(({ headers }, response) => {
  const etag = `"${statSync(file).mtimeMs}"`;
  if (headers["if-none-match"] === etag) response.writeHead(304).end();
  else response.writeHead(200, { etag }).end(readFileSync(file));
});
await once(server.listen(0, "127.0.0.1"), "listening");
const { port } = server.address();

const env = { FEED_URL: `http://127.0.0.1:${port}/feed.xml`, FEED_EVERY_MS: "1000" };
const sluice = spawn("sluice", ["start", "sluice.json"], {
  env: { ...process.env, ...env },
  stdio: "inherit",
  shell: process.platform === "win32", // where a package's command is a script
});
// Ctrl-C reaches both; Sluice ends in its own time, and this with it.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => sluice.kill("SIGTERM"));
sluice.on("exit", (code) => process.exit(code ?? 1));
