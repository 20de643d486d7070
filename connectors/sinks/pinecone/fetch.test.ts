import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Log } from "sluice";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { requests } from "./fetch.ts";
import { retryAfterOf } from "../../_shared/http/retry-after.ts";

const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const { signal } = new AbortController();
let server: Server;
let address: string;
let answer: RequestListener;
let seen: number;

beforeEach(async () => {
  seen = 0;
  server = createServer((request, response) => {
    seen += 1;
    answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

function open(more: Partial<Parameters<typeof requests>[0]> = {}) {
  return requests({ timeoutMs: 2_000, maxElapsedMs: 5_000, log, meter: () => {}, ...more });
}

async function get(path: string, http = open()) {
  return http.call({ signal }, async () =>
    (await http.fetchApi(address + path, { method: "GET" })).text(),
  );
}

describe("retries", () => {
  for (const [status, reason, code] of [
    [429, "throttled", "pinecone.throttled"],
    [503, "unreachable", "pinecone.unreachable"],
    [501, "unreachable", "pinecone.unreachable"],
  ] as const) {
    it(`of ${status} are bounded by time, then ${reason}`, async () => {
      answer = (_, response) => response.writeHead(status).end("busy");
      const began = performance.now();
      await expect(get("/query", open({ maxElapsedMs: 500 }))).rejects.toMatchObject({
        name: "RetryableError",
        reason,
        code,
      });
      expect(performance.now() - began).toBeLessThan(4_000);
      expect(seen).toBeGreaterThan(1);
    });
  }

  it("go on over connections that break in the middle of an answer", async () => {
    answer = (_, response) => {
      if (seen > 1) return void response.end("whole");
      response.writeHead(200, { "content-length": 100 });
      response.write("half", () => response.socket?.destroy());
    };
    expect((await get("/query")).result).toBe("whole");
    expect(seen).toBe(2);
  });

  it("end with the host that does not answer", async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    await expect(get("/query", open({ maxElapsedMs: 500 }))).rejects.toMatchObject({
      reason: "unreachable",
      message: expect.stringContaining("ECONNREFUSED"),
      fix: expect.any(String),
    });
    server.listen(0);
    await once(server, "listening");
  });
});

describe("requests", () => {
  it("run four at a time", async () => {
    let running = 0;
    let most = 0;
    answer = (_, response) => {
      most = Math.max(most, ++running);
      setImmediate(() => {
        running -= 1;
        response.end("{}");
      });
    };
    const http = open();
    await Promise.all(Array.from({ length: 40 }, () => get("/query", http)));
    expect(seen).toBe(40);
    expect(most).toBeLessThanOrEqual(4);
  });

  it("slow down when they are told to, and find their pace again", async () => {
    let running = 0;
    let most = 0;
    let isBusy = true;
    answer = (_, response) => {
      most = Math.max(most, ++running);
      setTimeout(() => {
        running -= 1;
        if (isBusy) response.writeHead(429);
        response.end("{}");
      }, 20);
    };
    const http = open({ growEveryMs: 200, maxConcurrent: 8, maxElapsedMs: 60_000 });
    const several = Promise.all(Array.from({ length: 30 }, () => get("/query", http)));
    await expect.poll(() => seen).toBeGreaterThan(12);
    isBusy = false;
    most = 0;
    const slow = Promise.all(Array.from({ length: 10 }, () => get("/query", http)));
    expect(running).toBeLessThanOrEqual(2);
    await Promise.all([several, slow]);
    await expect
      .poll(
        async () => {
          await Promise.all(Array.from({ length: 20 }, () => get("/query", http)));
          return most;
        },
        { timeout: 10_000 },
      )
      .toBe(8);
  });

  it("do not start after the lease, not even again", async () => {
    answer = (_, response) => response.writeHead(503).end();
    const http = open();
    const call = async (deadline: number) =>
      http.call({ signal, deadline }, () => http.fetchApi(`${address}/query`, { method: "GET" }));
    await expect(call(0)).rejects.toMatchObject({ name: "FencedError" });
    expect(seen).toBe(0);
    await expect(call(performance.now() + 300)).rejects.toMatchObject({
      name: "FencedError",
      code: "pinecone.lease-ended",
    });
    expect(seen).toBeGreaterThan(0);
    const before = seen;
    answer = (_, response) => response.end("{}");
    expect(seen).toBe(before);
  });

  it("wait with all others of their budget when one was told how long", async () => {
    const times: number[] = [];
    answer = (_, response) => {
      times.push(performance.now());
      if (seen === 1) response.writeHead(429, { "retry-after": "1" });
      response.end("{}");
    };
    const http = open();
    const costs = [{ name: "upserts ns", amount: 1, perSecond: 1_000 }];
    const call = () =>
      http.call({ signal, costs }, () => http.fetchApi(`${address}/query`, { method: "GET" }));
    const first = call();
    await expect.poll(() => seen).toBe(1);
    await Promise.all([first, call(), call()]);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(950);
  });

  it("take the LSN from the names of their kind, whichever client they are for", async () => {
    const headers: Record<string, Record<string, string>> = {
      "/vectors/upsert": { "X-Pinecone-Request-LSN": "7", "x-pinecone-max-indexed-lsn": "9" },
      "/vectors/delete": { "x-pinecone-lsn-committed": "8", "x-pinecone-lsn-reconciled": "9" },
      "/query": { "X-Pinecone-Max-Indexed-Lsn": "18446744073709551615" },
      "/vectors/list": { "x-pinecone-lsn-reconciled": "3", "x-pinecone-request-lsn": "9" },
      "/vectors/fetch": { "x-pinecone-max-indexed-lsn": "soon" },
    };
    answer = ({ url = "" }, response) => response.writeHead(200, headers[url]).end("{}");
    const lsns = await Promise.all(Object.keys(headers).map(async (path) => (await get(path)).lsn));
    expect(lsns).toEqual([7n, 8n, 18_446_744_073_709_551_615n, 3n, undefined]);
  });
});

it("reads Retry-After as seconds or as a date", () => {
  const of = (text: string) => retryAfterOf(new Headers({ "retry-after": text }));
  expect(of("3")).toBe(3_000);
  expect(of(new Date(Date.now() + 60_000).toUTCString())).toBeGreaterThan(50_000);
  expect(of(new Date(0).toUTCString())).toBe(0);
  expect(of("soon")).toBeUndefined();
  expect(retryAfterOf(new Headers())).toBeUndefined();
});
