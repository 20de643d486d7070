import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { json } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pinecone, type Index } from "@pinecone-database/pinecone";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startLocalPinecone, type LocalPinecone } from "./server.ts";

let dir: string;
let server: LocalPinecone;
let client: Pinecone;
let index: Index;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  client = clientOf(server);
  index = await createIndex("kb");
});
afterEach(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

// The client caches an index's host by key and name for the whole process, so each server gets a key of its own.
function clientOf({ url }: LocalPinecone): Pinecone {
  return new Pinecone({ apiKey: url, controllerHostUrl: url, maxRetries: 0 });
}

async function createIndex(
  name: string,
  metric: "cosine" | "dotproduct" | "euclidean" = "cosine",
  from = client,
) {
  await from.createIndex({
    name,
    dimension: 2,
    metric,
    spec: { serverless: { cloud: "aws", region: "us-east-1" } },
    waitUntilReady: true,
  });
  return from.index({ name, namespace: "ns" });
}

/** Lists the indexes under a Host header that `fetch` would not send. */
async function askAs(host: string, url: string) {
  const asking = request(`${url}/indexes`, { headers: { host, "api-key": "any" } }).end();
  const [response] = (await once(asking, "response")) as [IncomingMessage];
  const body = (await json(response)) as { indexes?: { host: string }[] };
  return { status: response.statusCode, hosts: body.indexes?.map((index) => index.host) };
}

async function raw(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = { "Api-Key": "any" },
) {
  const response = await fetch(server.url + path, {
    method,
    headers,
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === "" ? undefined : JSON.parse(text),
  };
}

const three = [
  { id: "a#1", values: [1, 0], metadata: { lang: "en", n: 1, tags: ["x", "y"], draft: false } },
  { id: "a#2", values: [0, 1], metadata: { lang: "de", n: 2.5, tags: ["y"] } },
  { id: "b#1", values: [3, 4], metadata: { lang: "en", n: 10 } },
];

describe("indexes", () => {
  it("are created, listed, described, configured and deleted", async () => {
    const described = await client.describeIndex("kb");
    expect(described).toMatchObject({
      name: "kb",
      dimension: 2,
      metric: "cosine",
      host: `${server.url}/i/kb`,
      deletionProtection: "disabled",
      status: { ready: true, state: "Ready" },
    });
    await client.configureIndex({
      name: "kb",
      deletionProtection: "enabled",
      tags: { team: "x" },
    });
    const [listed] = (await client.listIndexes()).indexes ?? [];
    expect(listed).toMatchObject({ deletionProtection: "enabled", tags: { team: "x" } });
    await expect(client.deleteIndex("kb")).rejects.toThrow("Deletion protection is enabled");
    await client.configureIndex({ name: "kb", deletionProtection: "disabled" });
    await client.deleteIndex("kb");
    await expect(client.describeIndex("kb")).rejects.toMatchObject({
      name: "PineconeNotFoundError",
    });
  });

  it("answer a conflict when they exist, which the client can suppress", async () => {
    await expect(createIndex("kb")).rejects.toMatchObject({ name: "PineconeConflictError" });
    const spec = { serverless: { cloud: "aws", region: "us-east-1" } } as const;
    await expect(
      client.createIndex({ name: "kb", dimension: 2, spec, suppressConflicts: true }),
    ).resolves.toBeUndefined();
  });

  it("are created from the shape of client 9.0", async () => {
    const { status, body } = await raw("POST", "/indexes", {
      name: "nine",
      deployment: { deployment_type: "managed", cloud: "aws", region: "us-east-1" },
      schema: { fields: { _values: { type: "dense_vector", dimension: 3, metric: "euclidean" } } },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: "nine", dimension: 3, metric: "euclidean" });
  });

  it("take no wrong name", async () => {
    await expect(createIndex("-kb")).rejects.toThrow("alphanumeric character");
  });
});

describe("vectors", () => {
  beforeEach(() => index.upsert({ records: three }));

  it("are fetched as float32 with their metadata, absent ids left out", async () => {
    await index.upsert({ records: [{ id: "f", values: [0.1, 1.23456789012] }] });
    const { records } = await index.fetch({ ids: ["a#1", "f", "gone"] });
    expect(Object.keys(records).toSorted()).toEqual(["a#1", "f"]);
    expect(records["a#1"]).toMatchObject(three[0] ?? {});
    // The shortest decimals that are these float32, as the real service tells them.
    expect(records["f"]?.values).toEqual([0.1, 1.2345679]);
  });

  it("are replaced whole by an upsert, the last of one id winning", async () => {
    await index.upsert({
      records: [
        { id: "a#1", values: [9, 9] },
        { id: "a#1", values: [5, 6], metadata: { k: 1 } },
      ],
    });
    const { records } = await index.fetch({ ids: ["a#1"] });
    expect(records["a#1"]).toMatchObject({ values: [5, 6], metadata: { k: 1 } });
  });

  it("are merged by an update by id, which ignores an absent one", async () => {
    await index.update({ id: "a#1", values: [7, 8], metadata: { lang: "fr" } });
    await index.update({ id: "gone", metadata: { lang: "fr" } });
    const { records } = await index.fetch({ ids: ["a#1", "gone"] });
    expect(records["a#1"]).toMatchObject({ values: [7, 8], metadata: { lang: "fr", n: 1 } });
    expect(records["gone"]).toBeUndefined();
  });

  it("are merged by an update by filter", async () => {
    await index.update({ filter: { lang: { $eq: "en" } }, metadata: { stale: true } });
    const { records } = await index.fetchByMetadata({ filter: { stale: true } });
    expect(Object.keys(records)).toEqual(["a#1", "b#1"]);
    const dry = { filter: { n: { $gt: 1 } }, setMetadata: { z: 1 }, namespace: "ns", dryRun: true };
    expect((await raw("POST", "/vectors/update", dry)).body).toEqual({ matchedRecords: 2 });
    expect((await index.fetchByMetadata({ filter: { z: 1 } })).records).toEqual({});
  });

  it("are deleted by ids, filter and all at once", async () => {
    await index.deleteOne({ id: "a#1" });
    await index.deleteMany({ ids: ["gone"] });
    expect(await ids()).toEqual(["a#2", "b#1"]);
    await index.deleteMany({ filter: { lang: "de" } });
    expect(await ids()).toEqual(["b#1"]);
    await index.deleteAll();
    expect(await ids()).toEqual([]);
  });

  it("are not deleted by the call that loses its ids", async () => {
    const lost = index.deleteMany(
      Object.assign(["a#1"], { namespace: "ns", ids: undefined, filter: {} }) as never,
    );
    await expect(lost).rejects.toThrow("the filter must not be empty");
    expect((await raw("POST", "/vectors/delete", { namespace: "ns" })).status).toBe(400);
    expect(await ids()).toHaveLength(3);
  });

  it("are not deleted from a namespace that does not exist", async () => {
    const answer = await raw("POST", "/vectors/delete", { ids: ["a#1"], namespace: "nowhere" });
    expect(answer).toMatchObject({
      status: 404,
      body: { code: 5, message: "Namespace not found" },
    });
  });

  it("are listed in pages by prefix, in the order of bytes, while others come and go", async () => {
    await index.upsert({
      records: ["p#B", "p#a", "p#_", "p#1", "q"].map((id) => ({ id, values: [1, 1] })),
    });
    const first = await index.listPaginated({ prefix: "p#", limit: 2 });
    expect(first.vectors?.map(({ id }) => id)).toEqual(["p#1", "p#B"]);
    await index.upsert({ records: [{ id: "p#0", values: [1, 1] }] });
    await index.deleteOne({ id: "p#B" });
    const paginationToken = String(first.pagination?.next);
    const second = await index.listPaginated({ prefix: "p#", limit: 2, paginationToken });
    expect(second.vectors?.map(({ id }) => id)).toEqual(["p#_", "p#a"]);
    expect(second.pagination).toBeUndefined();
    await expect(index.listPaginated({ prefix: "q", paginationToken })).rejects.toThrow(
      "another prefix",
    );
    await expect(index.listPaginated({ paginationToken: "x" })).rejects.toThrow("prefix");
  });

  it("are counted by namespace", async () => {
    await client.index({ name: "kb" }).upsert({ records: three.slice(0, 1) });
    expect(await index.describeIndexStats()).toMatchObject({
      namespaces: { ns: { recordCount: 3 }, "": { recordCount: 1 } },
      dimension: 2,
      totalRecordCount: 4,
    });
  });

  it("of the default namespace have two names", async () => {
    await client.index({ name: "kb", namespace: "" }).upsert({ records: three.slice(0, 1) });
    const { records } = await client
      .index({ name: "kb", namespace: "__default__" })
      .fetch({ ids: ["a#1"] });
    expect(Object.keys(records)).toEqual(["a#1"]);
  });

  async function ids(): Promise<(string | undefined)[]> {
    return ((await index.listPaginated()).vectors ?? []).map(({ id }) => id);
  }
});

describe("query", () => {
  const vector = [1, 1];
  for (const [metric, scores] of [
    ["cosine", { "b#1": 7 / (5 * Math.SQRT2), "a#1": Math.SQRT1_2, "a#2": Math.SQRT1_2 }],
    ["dotproduct", { "b#1": 7, "a#1": 1, "a#2": 1 }],
    ["euclidean", { "a#1": 1, "a#2": 1, "b#1": 13 }],
  ] as const) {
    it(`orders by ${metric}, ties by id`, async () => {
      const other = await createIndex(metric, metric);
      await other.upsert({ records: three });
      const { matches } = await other.query({ vector, topK: 3 });
      expect(matches.map(({ id }) => id)).toEqual(Object.keys(scores));
      for (const [at, score] of Object.values(scores).entries())
        expect(matches[at]?.score).toBeCloseTo(score, 12);
      expect((await other.query({ vector, topK: 1 })).matches[0]?.id).toBe(Object.keys(scores)[0]);
    });
  }

  it("adds the sparse part on a dotproduct index only", async () => {
    const hybrid = await createIndex("hybrid", "dotproduct");
    await hybrid.upsert({
      records: [
        { id: "a", values: [1, 0], sparseValues: { indices: [3, 9], values: [2, 5] } },
        { id: "b", values: [1, 0] },
      ],
    });
    const sparseVector = { indices: [3], values: [0.5] };
    const { matches } = await hybrid.query({
      vector: [1, 0],
      sparseVector,
      topK: 2,
      includeValues: true,
    });
    expect(matches.map(({ id, score }) => [id, score])).toEqual([
      ["a", 2],
      ["b", 1],
    ]);
    expect(matches[0]?.sparseValues).toEqual({ indices: [3, 9], values: [2, 5] });
    await expect(index.query({ vector, sparseVector, topK: 2 })).rejects.toThrow("dotproduct");
  });

  it("takes the vector of an id, and answers nothing for an absent id or namespace", async () => {
    await index.upsert({ records: three });
    const near = await index.query({
      id: "b#1",
      topK: 1,
      includeMetadata: true,
      includeValues: true,
    });
    expect(near.matches[0]).toMatchObject({ ...three[2], score: expect.closeTo(1, 12) });
    expect((await index.query({ id: "gone", topK: 1 })).matches).toEqual([]);
    expect((await index.namespace("nowhere").query({ vector, topK: 1 })).matches).toEqual([]);
  });
});

describe("namespaces", () => {
  it("are created, listed, described and deleted", async () => {
    await index.upsert({ records: three });
    await index.createNamespace({ name: "ns2" });
    const first = await index.listNamespaces({ limit: 1 });
    expect(first).toMatchObject({ namespaces: [{ name: "ns", recordCount: 3 }], totalCount: 2 });
    const second = await index.listNamespaces({
      limit: 1,
      paginationToken: String(first.pagination?.next),
    });
    expect(second.namespaces).toMatchObject([{ name: "ns2" }]);
    expect(await index.describeNamespace("ns")).toMatchObject({ name: "ns", recordCount: 3 });
    await index.deleteNamespace("ns");
    await expect(index.describeNamespace("ns")).rejects.toMatchObject({
      name: "PineconeNotFoundError",
    });
    expect((await index.fetch({ ids: ["a#1"] })).records).toEqual({});
  });
});

describe("LSNs", () => {
  const upsert = (namespace: string) =>
    raw("POST", "/vectors/upsert", { namespace, vectors: [{ id: "a", values: [1, 1] }] });
  const written = async (answer: ReturnType<typeof raw>) =>
    (await answer).headers.get("x-pinecone-request-lsn");

  it("grow by one a write of a namespace, and reads tell the newest", async () => {
    expect(await written(upsert("one"))).toBe("1");
    expect(await written(upsert("one"))).toBe("2");
    expect(await written(upsert("two"))).toBe("1");
    const read = await raw("POST", "/query", { namespace: "one", topK: 1, vector: [1, 1] });
    expect(read.headers.get("x-pinecone-max-indexed-lsn")).toBe("2");
  });

  it("tell how far a slow index has come, which shows writes whole and in order", async () => {
    await server.close();
    let delayMs = 0;
    const indexDelayMs = () => delayMs;
    server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir, indexDelayMs });
    client = clientOf(server);
    await createIndex("slow");
    const onSlow = (path: string, body: object) => raw("POST", `/i/slow${path}`, body);
    const read = async () => {
      const { headers, body } = await onSlow("/query", {
        namespace: "one",
        topK: 9,
        vector: [1, 1],
      });
      const ids = (body.matches as { id: string }[]).map(({ id }) => id).toSorted();
      return [headers.get("x-pinecone-max-indexed-lsn"), ids.join()];
    };
    const put = (id: string) =>
      onSlow("/vectors/upsert", { namespace: "one", vectors: [{ id, values: [1, 1] }] });
    await put("a");
    expect(await read()).toEqual(["1", "a"]);
    delayMs = 150;
    expect((await put("b")).headers.get("x-pinecone-request-lsn")).toBe("2");
    delayMs = 0;
    expect((await put("c")).headers.get("x-pinecone-request-lsn")).toBe("3");
    expect(await read()).toEqual(["1", "a"]);
    expect((await raw("GET", "/i/slow/vectors/list?namespace=one")).body.vectors).toEqual([
      { id: "a" },
    ]);
    await expect.poll(read).toEqual(["3", "a,b,c"]);
  });

  it("are not taken by a refused write and survive the namespace and a restart", async () => {
    expect(await written(upsert("one"))).toBe("1");
    const refused = await raw("POST", "/vectors/upsert", {
      namespace: "one",
      vectors: [{ id: "a", values: [1] }],
    });
    expect(refused.status).toBe(400);
    expect(await written(raw("DELETE", "/namespaces/one"))).toBe("2");
    await server.close();
    server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
    expect(await written(upsert("one"))).toBe("3");
  });
});

describe("the server", () => {
  it("shares its file with another one, each seeing the other's writes at once", async () => {
    const second = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
    try {
      const other = clientOf(second).index({ name: "kb", namespace: "ns" });
      for (let round = 0; round < 20; round++) {
        await Promise.all([
          index.upsert({ records: [{ id: `left#${round}`, values: [1, round] }] }),
          other.upsert({ records: [{ id: `right#${round}`, values: [1, round] }] }),
        ]);
        expect((await index.query({ id: `right#${round}`, topK: 1 })).matches).toHaveLength(1);
        expect((await other.query({ id: `left#${round}`, topK: 1 })).matches).toHaveLength(1);
      }
      expect((await index.describeIndexStats()).totalRecordCount).toBe(40);
    } finally {
      await second.close();
    }
  });

  it("names the port that is in use", async () => {
    const port = Number(new URL(server.url).port);
    await expect(startLocalPinecone({ host: "127.0.0.1", port, dir })).rejects.toMatchObject({
      code: "pinecone.port-in-use",
      fix: expect.stringContaining("another port"),
    });
  });

  it("names the address it cannot listen on", async () => {
    // Of TEST-NET-1: no machine has it.
    const listening = startLocalPinecone({ host: "192.0.2.1", port: 0, dir });
    await expect(listening).rejects.toMatchObject({
      name: "ConfigError",
      code: "pinecone.not-listening",
      message: "pinecone: cannot listen on 192.0.2.1:0 (EADDRNOTAVAIL).",
      fix: expect.stringContaining("127.0.0.1"),
    });
  });

  it("names the folder it cannot write, and the file that is no database", async () => {
    const start = (at: string) =>
      startLocalPinecone({ host: "127.0.0.1", port: 0, dir: join(dir, at) });
    await writeFile(join(dir, "file"), "x");
    await mkdir(join(dir, "blocked", "pinecone.db"), { recursive: true });
    for (const [at, reason] of [
      ["file", "EEXIST"],
      ["file/x", "ENOTDIR"],
      ["blocked", "SQLITE_CANTOPEN"],
    ] as const)
      await expect(start(at)).rejects.toMatchObject({
        name: "ConfigError",
        code: "pinecone.folder-unwritable",
        message: `pinecone: the folder ${join(dir, at)} cannot be written (${reason}).`,
        fix: expect.any(String),
      });
    await mkdir(join(dir, "damaged"));
    await writeFile(join(dir, "damaged", "pinecone.db"), "no database".repeat(1_000));
    await expect(start("damaged")).rejects.toMatchObject({ code: "pinecone.file-damaged" });
  });

  it("answers to its addresses only, so no name that a page brings along can reach it", async () => {
    const { port } = new URL(server.url);
    const asked = (host: string) => askAs(host, server.url);
    for (const host of ["evil.com", `evil.com:${port}`, "127.0.0.1.evil.com", "127.0.0.1@evil.com"])
      expect(await asked(host)).toMatchObject({ status: 403, hosts: undefined });
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, "[::1]:5081", "10.0.0.7"])
      expect(await asked(host)).toEqual({ status: 200, hosts: [`http://${host}/i/kb`] });
    const named = await startLocalPinecone({ host: "localhost", port: 0, dir });
    expect(await askAs("LOCALHOST", named.url)).toMatchObject({ status: 200 });
    expect(await askAs("evil.com", named.url)).toMatchObject({ status: 403 });
    await named.close();
    // A page does not have the key; other containers do, and call us by a name of theirs.
    const keyed = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir, apiKey: "any" });
    expect(await askAs("pinecone:5081", keyed.url)).toEqual({
      status: 200,
      hosts: ["http://pinecone:5081/i/kb"],
    });
    await keyed.close();
  });

  it("opens nothing for reading that is not there", async () => {
    const readOnly = { host: "127.0.0.1", port: 0, readOnly: true };
    await expect(
      startLocalPinecone({ ...readOnly, dir: join(dir, "nowhere") }),
    ).rejects.toMatchObject({
      code: "pinecone.local-missing",
    });
    const reader = await startLocalPinecone({ ...readOnly, dir });
    const other = clientOf(reader).index({ name: "kb", namespace: "ns" });
    await expect(other.upsert({ records: three })).rejects.toThrow();
    await reader.close();
  });

  it("closes with open connections, twice", async () => {
    await server.close();
    await server.close();
    await expect(client.listIndexes()).rejects.toMatchObject({ name: "PineconeConnectionError" });
  });

  it("wants a key, and says what it does not have", async () => {
    expect((await raw("GET", "/indexes", undefined, {})).status).toBe(401);
    for (const path of [
      "/bulk/imports",
      "/indexes/kb/backups",
      "/collections",
      "/restore-jobs",
      "/i/kb/namespaces/ns/documents/search",
    ]) {
      expect((await raw("POST", path, {})).status, path).toBe(501);
    }
  });

  it("takes a path without an index when there is only one, and doubled slashes", async () => {
    expect((await raw("POST", "/describe_index_stats", {})).status).toBe(200);
    expect((await raw("POST", "//i/kb//describe_index_stats", {})).status).toBe(200);
    await createIndex("two");
    expect((await raw("POST", "/describe_index_stats", {})).status).toBe(400);
    expect((await raw("POST", "/i/three/describe_index_stats", {})).status).toBe(404);
  });
});
