import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { openStream } from "./stream.ts";

it("an idle stream is kept alive by comments, until it ends or its reader goes", async () => {
  const server = createServer((request, response) => {
    const stream = openStream(response, 10);
    stream.send("accepted", { id: "1" });
    if (request.url === "/short") setTimeout(stream.end, 100);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const text = await (await fetch(`${url}/short`)).text();
  expect(text.startsWith('event: accepted\ndata: {"id":"1"}\n\n: keep-alive\n\n')).toBe(true);
  expect(text.split(": keep-alive").length).toBeGreaterThan(3);

  const leaving = new AbortController();
  const { body } = await fetch(url, { signal: leaving.signal });
  await body?.getReader().read();
  leaving.abort();
  const closed = once(server, "close"); // only when no connection is left
  server.close();
  await closed;
});
