import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { holdAnswers, settlesOnAbort } from "./held-answers.ts";

const answered = new Set<string>();
const server = createServer(({ url = "" }, response) => {
  response.end(`at ${url}`, () => void answered.add(url));
}).listen(0, "127.0.0.1");
await once(server, "listening");
afterAll(() => void server.close());
const { port } = server.address() as AddressInfo;
const ask = async (path: string, signal?: AbortSignal) =>
  (await fetch(`http://127.0.0.1:${port}${path}`, signal ? { signal } : {})).text();
const settles = async (path: string) => {
  while (!answered.has(path)) await sleep(5);
};

describe("answers that are held", () => {
  it("are heard once nobody holds them any more, over connections old and new", async () => {
    await ask("/first");
    const releases = [holdAnswers(), holdAnswers()];
    let heard = 0;
    const asking = ["/a", "/b"].map(async (path) => {
      const text = await ask(path);
      heard += 1;
      return text;
    });
    await Promise.all(["/a", "/b"].map(settles));
    releases[0]?.();
    await sleep(30);
    expect(heard).toBe(0);
    releases[1]?.();
    expect(await Promise.all(asking)).toEqual(["at /a", "at /b"]);
    expect(await ask("/last")).toBe("at /last");
  });

  it("show who does not obey an abort", async () => {
    await settlesOnAbort("the good one", (signal) => ask("/good", signal));
    await expect(settlesOnAbort("the bad one", () => ask("/bad"))).rejects.toThrow(
      "the bad one, aborted, took more than 1000 ms",
    );
  });
});
