import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ask, serverless } from "./harness.ts";
import { startLocalPinecone, type LocalPinecone } from "./server.ts";

let dir: string;
let server: LocalPinecone;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  await post("/indexes", { name: "kb", dimension: 2, spec: serverless });
});
afterEach(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const post = (path: string, body?: unknown) => ask(server.url, "POST", path, body);
const configure = (settings: object) => ask(server.url, "PATCH", "/_admin/settings", settings);
const upsert = (...ids: string[]) =>
  post("/vectors/upsert", {
    namespace: "ns",
    vectors: ids.map((id) => ({ id, values: [1, 1], metadata: { title: `of ${id}` } })),
  });
const has = async (id: string) => {
  const { body } = await ask(server.url, "GET", `/vectors/fetch?ids=${id}&namespace=ns`);
  return id in (body?.["vectors"] ?? {});
};

describe("a fault", () => {
  const inject = (rule: object) => post("/_admin/faults", rule);

  it.each(["", "__default__"])("takes the default namespace as %j", async (namespace) => {
    await inject({ match: { namespace }, action: { status: 418 } });
    expect((await post("/vectors/query", { topK: 1, vector: [1, 1] })).status).toBe(418);
    expect((await upsert("a")).status).toBe(200);
  });

  it("refuses headers that cannot be sent", async () => {
    for (const headers of [{ "x y": "1" }, { x: "a\nb" }, { "": "1" }])
      expect((await inject({ action: { status: 429, headers } })).status).toBe(400);
    expect(
      (await inject({ action: { status: 429, headers: { "retry-after": "1" } } })).status,
    ).toBe(201);
    expect((await upsert("a")).status).toBe(429);
  });

  it("refuses names that no request has, which would never match", async () => {
    for (const match of [
      { operation: "upserts" },
      { method: "post" },
      { operations: "upsert" },
      { index: "UP" },
      { index: "" },
      { namespace: "x".repeat(513) },
    ])
      expect((await inject({ match, action: "hang" })).status).toBe(400);
    const told = await inject({ match: { operation: "upserts" }, action: "hang" });
    expect(told.body).toMatchObject({
      error: { message: expect.stringContaining("match.operation: is none of create_index,") },
    });
  });

  it("answers with any status, headers and body, to the requests that it matches", async () => {
    const action = { status: 429, headers: { "retry-after": "3" }, body: { message: "slow down" } };
    await inject({ match: { operation: "upsert", namespace: "ns" }, first: 2, action });
    const first = await upsert("a");
    expect(first).toMatchObject({ status: 429, body: { message: "slow down" } });
    expect(first.header("retry-after")).toBe("3");
    expect((await ask(server.url, "GET", "/indexes")).status).toBe(200);
    expect((await upsert("a")).status).toBe(429);
    expect((await upsert("a")).status).toBe(200);
    const html = { status: 502, headers: { "content-type": "text/html" }, body: "<html>" };
    await inject({ match: { path: "/query" }, action: html });
    const response = await fetch(`${server.url}/query`, { method: "POST" });
    expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([
      502,
      "text/html",
      "<html>",
    ]);
    const { body } = await ask(server.url, "GET", "/_admin/faults");
    expect(body).toMatchObject({
      faults: [
        { id: 1, matched: 3 },
        { id: 2, matched: 1 },
      ],
    });
  });

  it("comes at the nth, at every nth, or by chance that a seed repeats", async () => {
    const hits = async (rule: object) => {
      await ask(server.url, "DELETE", "/_admin/faults");
      await inject({ ...rule, match: { operation: "list_indexes" }, action: { status: 503 } });
      let text = "";
      for (let at = 0; at < 12; at++)
        text += (await ask(server.url, "GET", "/indexes")).status === 503 ? "x" : ".";
      return text;
    };
    expect(await hits({ nth: 3 })).toBe("..x.........");
    expect(await hits({ every: 4 })).toBe("...x...x...x");
    const chance = await hits({ probability: 0.5, seed: 7 });
    expect(await hits({ probability: 0.5, seed: 7 })).toBe(chance);
    expect(chance).toMatch(/x/);
    expect(chance).toMatch(/\./);
  });

  it("refuses what holds a text: an id or a value of metadata", async () => {
    await inject({ match: { contains: "of b" }, action: { status: 400, body: { code: 3 } } });
    expect((await upsert("a", "b")).status).toBe(400);
    expect((await upsert("a")).status).toBe(200);
    await inject({ match: { contains: "odd#1" }, action: { status: 400 } });
    const fetched = await ask(server.url, "GET", "/vectors/fetch?ids=odd%231");
    expect(fetched.status).toBe(400);
  });

  it("cuts the connection before or after the write, in the middle of the answer, or never answers", async () => {
    for (const [action, applied] of [
      ["reset-before", false],
      ["reset-after", true],
      [{ truncate: true }, true],
    ] as const) {
      await ask(server.url, "DELETE", "/_admin/faults");
      await inject({ match: { operation: "upsert" }, action });
      const id = JSON.stringify(action).replaceAll(/\W/g, "");
      await expect(upsert(id)).rejects.toThrow();
      expect(await has(id), id).toBe(applied);
    }
    await ask(server.url, "DELETE", "/_admin/faults");
    await inject({ match: { operation: "upsert" }, action: "hang" });
    const hanging = fetch(`${server.url}/vectors/upsert`, {
      method: "POST",
      signal: AbortSignal.timeout(100),
    });
    await expect(hanging).rejects.toThrow("timeout");
  });

  it("delays, slows, strips and stales an answer", async () => {
    await upsert("a");
    const query = () => post("/query", { namespace: "ns", topK: 1, vector: [1, 1] });
    await inject({ match: { operation: "query" }, first: 1, action: { delayMs: 150 } });
    let started = performance.now();
    await query();
    expect(performance.now() - started).toBeGreaterThan(140);
    await inject({ match: { operation: "query" }, first: 1, action: { slowBodyMs: 30 } });
    started = performance.now();
    expect((await query()).body).toMatchObject({ matches: [{ id: "a" }] });
    expect(performance.now() - started).toBeGreaterThan(200);
    await inject({ match: { operation: "query" }, first: 1, action: { staleLsn: true } });
    expect((await query()).header("x-pinecone-max-indexed-lsn")).toBe("0");
    await inject({ match: { operation: "query" }, first: 1, action: { dropHeaders: true } });
    const stripped = await query();
    expect(stripped.header("x-pinecone-max-indexed-lsn")).toBeUndefined();
    expect(stripped.body).toMatchObject({ matches: [{ id: "a" }] });
    expect((await query()).header("x-pinecone-max-indexed-lsn")).toBe("1");
  });
});

it("has rate limits that are off at first, and then refuse with 429 what is over them", async () => {
  for (let at = 0; at < 120; at++) expect((await upsert("a")).status).toBe(200);
  await configure({ rateLimits: { query: 0, fetchOfIndex: 0 } });
  const query = await post("/i/kb/query", { namespace: "ns", topK: 1, vector: [1, 1] });
  expect(query).toMatchObject({ status: 429, body: { code: 8 } });
  expect(query.body?.["message"]).toContain(
    "query has reached the limit query of 0 a second in namespace 'ns' of index 'kb'",
  );
  const fetched = await ask(server.url, "GET", "/i/kb/vectors/fetch?ids=a");
  expect(fetched.body?.["message"]).toContain("fetchOfIndex of 0 a second in index 'kb'");
  expect((await upsert("a")).status).toBe(200);
  await configure({ rateLimits: null });
  expect(await has("a")).toBe(true);
});

describe("the log", () => {
  it("keeps what was asked, counts it, and sees ids that two requests write at once", async () => {
    await ask(server.url, "DELETE", "/_admin/requests");
    await post("/_admin/faults", { match: { operation: "upsert" }, action: { delayMs: 100 } });
    await Promise.all([upsert("a", "b"), upsert("b", "c"), upsert("d")]);
    await post("/i/kb/query", { namespace: "ns", topK: 0 });
    const { body } = await ask(server.url, "GET", "/_admin/requests");
    expect(body).toMatchObject({
      answered: 4,
      operations: { upsert: 3, query: 1 },
      statuses: { 200: 3, 400: 1 },
      peakConcurrency: 3,
      idsWrittenTwiceAtOnce: [expect.stringMatching(/\/ns\/b$/)],
    });
    const requests: object[] = body?.["requests"] ?? [];
    expect(requests.at(-1)).toMatchObject({
      method: "POST",
      path: "/i/kb/query",
      operation: "query",
      index: "kb",
      namespace: "ns",
      ids: [],
      bytes: 27,
      status: 400,
    });
    expect(server.requests()).toHaveLength(4);
  });
});

describe("an edit", () => {
  it("changes vectors as someone else would: searches see it, and no LSN is taken", async () => {
    await upsert("a", "b");
    const query = () => post("/query", { namespace: "ns", topK: 9, vector: [1, 0] });
    await query();
    const edited = await post("/_admin/edit", {
      index: "kb",
      namespace: "ns",
      delete: ["a"],
      upsert: [{ id: "x", values: [1, 0] }],
    });
    expect(edited.body).toEqual({ removed: 1, upserted: 1 });
    const found = await query();
    expect(found.body?.["matches"]).toMatchObject([{ id: "x", score: 1 }, { id: "b" }]);
    expect(found.header("x-pinecone-max-indexed-lsn")).toBe("1");
    const { body } = await ask(server.url, "GET", "/_admin/vectors?index=kb&namespace=ns");
    expect(body?.["vectors"]).toMatchObject([{ id: "b" }, { id: "x", values: [1, 0] }]);
  });
});

describe("settings", () => {
  it("are told, changed by the ones named, and set back", async () => {
    expect((await configure({ strictDuplicates: true })).status).toBe(200);
    expect((await upsert("a", "a")).body?.["message"]).toContain("'a' comes twice");
    const { body } = await configure({ int64AsString: true });
    expect(body).toMatchObject({ strictDuplicates: true, int64AsString: true, mode: "auto" });
    expect((await upsert("a")).body).toEqual({ upsertedCount: "1" });
    await ask(server.url, "DELETE", "/_admin/settings");
    expect((await upsert("a", "a")).body).toEqual({ upsertedCount: 2 });
    expect(await configure({ nonsense: 1 })).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining("nonsense") } },
    });
    expect((await ask(server.url, "GET", "/_admin/nothing")).status).toBe(404);
  });

  it("take only named versions of the API, when told to", async () => {
    await configure({ versions: ["2026-04"] });
    const asked = (version: string) =>
      fetch(`${server.url}/indexes`, {
        headers: { "api-key": "any", "x-pinecone-api-version": version },
      });
    expect((await asked("2026-04")).status).toBe(200);
    const refused = await asked("2025-10");
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain("must be one of 2026-04");
  });

  it("let a new index be a while in the making", async () => {
    await configure({ initializingMs: 60_000 });
    const made = await post("/indexes", { name: "slow", dimension: 2, spec: serverless });
    expect(made.body?.["status"]).toEqual({ ready: false, state: "Initializing" });
    await configure({ initializingMs: 0 });
    const told = await ask(server.url, "GET", "/indexes/slow");
    expect(told.body?.["status"]).toEqual({ ready: true, state: "Ready" });
  });
});

it("wants the key that it was started with, on the admin path too", async () => {
  await server.close();
  const apiKey = "k".repeat(20);
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir, apiKey });
  for (const [path, status] of [
    ["/indexes", 401],
    ["/vectors/list", 403],
    ["/_admin/settings", 401],
  ] as const) {
    const asked = (key: string) => fetch(server.url + path, { headers: { "api-key": key } });
    expect((await asked("any")).status, path).toBe(status);
    expect((await asked(`${apiKey}x`)).status, path).toBe(status);
    expect((await asked("")).status, path).toBe(401);
    expect((await asked(apiKey)).status, path).toBe(200);
  }
});

it("refuses what no setting, release or edit has", async () => {
  expect((await configure({ namespaces: { kb: { indexDelayMs: 5 } } })).status).toBe(400);
  const place = { index: "kb", namespace: "ns" };
  expect((await post("/_admin/release", { ...place, counts: 1 })).status).toBe(400);
  expect((await post("/_admin/edit", { ...place, deletes: ["a"] })).status).toBe(400);
});

it("refuses to make a namespace without a name", async () => {
  for (const body of [{}, { name: "" }, { name: null }])
    expect((await post("/namespaces", body)).status).toBe(400);
});

it(
  "refuses a query or a fetch whose answer is too large, and says what to do",
  { timeout: 60_000 },
  async () => {
    await post("/indexes", { name: "wide", dimension: 20_000, spec: serverless });
    const values = Array.from({ length: 20_000 }, (_, at) => (at % 100) / 8 + 0.125);
    const ids = Array.from({ length: 300 }, (_, at) => `${"x".repeat(500)}${at}`);
    for (let at = 0; at < ids.length; at += 10) {
      const vectors = ids.slice(at, at + 10).map((id) => ({ id, values, metadata: { a: 1 } }));
      expect((await ask(server.url, "POST", "/i/wide/vectors/upsert", { vectors })).status).toBe(
        200,
      );
    }
    const wide = (path: string, body: object) =>
      ask(server.url, "POST", `/i/wide/vectors/${path}`, body);
    const fetched = await wide("fetch_by_metadata", { filter: { a: 1 }, limit: 10_000 });
    expect(fetched.status).toBe(400);
    expect(JSON.stringify(fetched.body)).toContain("ask for fewer vectors at once");
    expect((await wide("fetch_by_metadata", { filter: { a: 1 }, limit: 100 })).status).toBe(200);
  },
);
