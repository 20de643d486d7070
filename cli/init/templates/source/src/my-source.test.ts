import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { fakes, sourceConformance } from "sluice/testing";
import { mySource } from "./my-source.ts";

// A site that keeps its entries, and knows when its feed has changed. It may fail, or not answer.
const entries = new Map<string, string>();
const answers: number[] = [];
let revision = 0;
let trouble: "outage" | "stall" | undefined;
const server = createServer(({ headers }, response) => {
  if (trouble === "stall") return;
  if (trouble === "outage") return void response.writeHead(503).end();
  const etag = `"${revision}"`;
  const status = headers["if-none-match"] === etag ? 304 : 200;
  answers.push(status);
  const items = [...entries].map(
    ([id, text]) => `<item><guid>${id}</guid><description>${escaped(text)}</description></item>`,
  );
  const feed = `<rss version="2.0"><channel>${items.join("")}</channel></rss>`;
  response.writeHead(status, { etag }).end(status === 200 ? feed : undefined);
}).listen(0, "127.0.0.1");
await once(server, "listening");
after(() => void server.close());
const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const { port } = server.address() as AddressInfo;
const config = { url: `http://127.0.0.1:${port}/feed.xml`, everyMs: 100 };
const origin = {
  put: async (key: string, text: string) => {
    entries.set(key, text);
    revision += 1;
    return key;
  },
  // Not asked for: the source says that it sees no deletes.
  remove: async () => {},
};
const having = (what: typeof trouble) => ({
  begin: () => void (trouble = what),
  end: () => {
    trouble = undefined;
    server.closeAllConnections();
  },
});
const module = new URL("./my-source.js", import.meta.url);
const [outage, stall] = [having("outage"), having("stall")];
const given = { source: mySource, config, origin, module, outage, stall, many: 120 };
for (const { name, run } of sourceConformance(given)) test(name, run);

test("reads a feed again only when it has changed", { timeout: 10_000 }, async () => {
  await origin.put("hello", "Hello");
  const reading = await fakes.run(mySource, { config });
  await reading.until(({ length }) => length > 0, "the entries");
  for (let looks = 0; looks < 3; looks += 1) await once(server, "request");
  await reading.stop();
  assert.deepEqual(answers.slice(-2), [304, 304]);
});

test("believes no page that is no feed", { timeout: 10_000 }, async () => {
  const page = createServer((_, response) => void response.end("<html><p>Log in</p></html>"));
  await once(page.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}/`;
  const reading = await fakes.run(mySource, { config: { url } });
  await assert.rejects(reading.ended, { code: "my-source.no-feed" });
  page.close();
});
