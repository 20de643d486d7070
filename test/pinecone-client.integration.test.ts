import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pinecone } from "@pinecone-database/pinecone";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  startLocalPinecone,
  type LocalPinecone,
} from "../connectors/sinks/pinecone/local/server.ts";

// What the client's own suites and the server's tests leave out: records, inference, sparse indexes, every kind
// of error as this client tells it.
let dir: string;
let server: LocalPinecone;
let client: Pinecone;
const apiKey = "the-right-key";
const spec = { serverless: { cloud: "aws", region: "us-east-1" } } as const;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-client-"));
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir, apiKey });
  client = new Pinecone({ apiKey, controllerHostUrl: server.url, maxRetries: 0 });
  await client.createIndex({ name: "kb", dimension: 2, spec });
});
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

describe("an index for a model", () => {
  beforeAll(async () => {
    await client.createIndexForModel({
      name: "words",
      cloud: "aws",
      region: "us-east-1",
      embed: { model: "llama-text-embed-v2", fieldMap: { text: "body" }, dimension: 512 },
      tags: { team: "x" },
      waitUntilReady: true,
    });
  });

  it("tells its model, dimension and field", async () => {
    expect(await client.describeIndex("words")).toMatchObject({
      dimension: 512,
      metric: "cosine",
      vectorType: "dense",
      tags: { team: "x" },
      embed: { model: "llama-text-embed-v2", dimension: 512, fieldMap: { text: "body" } },
    });
  });

  it("embeds records and finds them by text, vector and id, filtered, picked and reranked", async () => {
    const index = client.index({ name: "words", namespace: "ns" });
    await index.upsertRecords({
      records: [
        { id: "1", body: "the cat sleeps on the mat", kind: "cat" },
        { _id: "2", body: "interest rates rise again", kind: "money" },
        { _id: "3", body: "a kitten naps on a rug", kind: "cat" },
      ],
    });
    const inputs = { text: "a sleeping cat" };
    const near = await index.searchRecords({ query: { topK: 2, inputs } });
    expect(near.result.hits.map((hit) => hit._id).toSorted()).toEqual(["1", "3"]);
    expect(near.usage.embedTotalTokens).toBeGreaterThan(0);
    const money = await index.searchRecords({
      query: { topK: 3, inputs, filter: { kind: { $eq: "money" } } },
      fields: ["kind"],
    });
    expect(money.result.hits).toMatchObject([{ _id: "2", fields: { kind: "money" } }]);
    const byId = await index.searchRecords({ query: { topK: 1, id: "2" } });
    expect(byId.result.hits[0]?._id).toBe("2");
    const { records } = await index.fetch({ ids: ["3"] });
    const values = records["3"]?.values ?? [];
    expect(values).toHaveLength(512);
    const byVector = await index.searchRecords({ query: { topK: 1, vector: { values } } });
    expect(byVector.result.hits[0]?._id).toBe("3");
    const ranked = await index.searchRecords({
      query: { topK: 3, inputs },
      rerank: { model: "bge-reranker-v2-m3", rankFields: ["body"], topN: 1 },
    });
    expect(ranked.result.hits).toHaveLength(1);
    expect(ranked.usage.rerankUnits).toBe(1);
  });

  it("can be made of an index that has the dimension of a model", async () => {
    await client.createIndex({ name: "later", dimension: 1_024, spec });
    await client.configureIndex({
      name: "later",
      embed: { model: "multilingual-e5-large", fieldMap: { text: "t" } },
    });
    await client.index({ name: "later" }).upsertRecords({ records: [{ _id: "a", t: "text" }] });
    expect((await client.describeIndex("later")).embed?.model).toBe("multilingual-e5-large");
    const other = { name: "later", embed: { model: "llama-text-embed-v2" } };
    await expect(client.configureIndex(other)).rejects.toThrow("cannot be changed");
  });

  it("refuses records without their text, without an id, too many, and for an index without a model", async () => {
    const index = client.index({ name: "words" });
    const upsert = (records: Record<string, string>[]) => index.upsertRecords({ records });
    await expect(upsert([{ _id: "a", other: "x" }])).rejects.toThrow("no text in field 'body'");
    const many = Array.from({ length: 97 }, (_, at) => ({ _id: String(at), body: "x" }));
    await expect(upsert(many)).rejects.toThrow("1 to 96 lines");
    const plain = client.index({ name: "kb" });
    const records = [{ _id: "a", body: "x" }];
    await expect(plain.upsertRecords({ records })).rejects.toThrow("no integrated embedding");
  });
});

describe("a sparse model", () => {
  it("finds records by the words they share", async () => {
    await client.createIndexForModel({
      name: "lexical",
      cloud: "aws",
      region: "us-east-1",
      embed: { model: "pinecone-sparse-english-v0", fieldMap: { text: "t" } },
    });
    expect(await client.describeIndex("lexical")).toMatchObject({ vectorType: "sparse" });
    const index = client.index({ name: "lexical" });
    await index.upsertRecords({
      records: [
        { _id: "1", t: "red apples" },
        { _id: "2", t: "green pears" },
      ],
    });
    const { result } = await index.searchRecords({
      query: { topK: 5, inputs: { text: "apples" } },
    });
    expect(result.hits.map((hit) => hit._id)).toEqual(["1"]);
  });
});

describe("inference", () => {
  it("embeds in the dimension of the model that it stands in for, passages and queries near each other", async () => {
    const embed = (inputs: string[], inputType: string, truncate = "END") =>
      client.inference.embed({
        model: "multilingual-e5-large",
        inputs,
        parameters: { inputType, truncate },
      });
    const { data, usage, vectorType } = await embed(["the cat sleeps", "rates rise"], "passage");
    expect([vectorType, data.length, (usage.totalTokens ?? 0) > 0]).toEqual(["dense", 2, true]);
    const [query] = (await embed(["a sleeping cat"], "query")).data;
    const dot = (a: unknown, b: unknown) => {
      const [left, right] = [a, b].map((one) => (one as { values: number[] }).values);
      return left?.reduce((sum, value, at) => sum + value * (right?.[at] ?? 0), 0) ?? NaN;
    };
    expect((query as { values: number[] }).values).toHaveLength(1_024);
    expect(dot(query, data[0])).toBeGreaterThan(dot(query, data[1]));
    const long = Array.from({ length: 2_000 }, (_, at) => `word${at}`).join(" ");
    expect((await embed([long], "passage")).data).toHaveLength(1);
    await expect(embed([long], "passage", "NONE")).rejects.toThrow("tokens");
    await expect(embed([" "], "passage")).rejects.toThrow("must not be empty");
  });
});

describe("an error", () => {
  let inject: (action: object) => Promise<unknown>;
  beforeAll(() => {
    const headers = { "api-key": apiKey };
    inject = (action) =>
      fetch(`${server.url}/_admin/faults`, {
        method: "POST",
        headers,
        body: JSON.stringify({ match: { operation: "query" }, first: 1, action }),
      });
  });
  afterEach(() =>
    fetch(`${server.url}/_admin/faults`, { method: "DELETE", headers: { "api-key": apiKey } }),
  );

  for (const [status, name] of [
    [400, "PineconeBadRequestError"],
    [401, "PineconeAuthorizationError"],
    [402, "PineconeUnmappedHttpError"],
    [403, "PineconeBadRequestError"],
    [404, "PineconeNotFoundError"],
    [408, "PineconeUnmappedHttpError"],
    [409, "PineconeConflictError"],
    [429, "PineconeUnmappedHttpError"],
    [500, "PineconeMaxRetriesExceededError"],
    [503, "PineconeMaxRetriesExceededError"],
  ] as const)
    it(`of status ${status} is told as ${name}`, async () => {
      await inject({ status, body: { code: 1, message: "on purpose" } });
      const query = client.index({ name: "kb" }).query({ topK: 1, vector: [1, 1] });
      await expect(query).rejects.toMatchObject({ name });
    });

  it("of a cut connection is told as such", async () => {
    await inject(Object("reset-before") as object);
    const query = client.index({ name: "kb" }).query({ topK: 1, vector: [1, 1] });
    await expect(query).rejects.toMatchObject({ name: "PineconeConnectionError" });
  });

  it("of a wrong key and of a missing index keeps its kind", async () => {
    const wrong = new Pinecone({ apiKey: "wrong", controllerHostUrl: server.url, maxRetries: 0 });
    await expect(wrong.listIndexes()).rejects.toMatchObject({ name: "PineconeAuthorizationError" });
    const missing = client.index({ name: "missing" }).query({ topK: 1, vector: [1, 1] });
    await expect(missing).rejects.toMatchObject({ name: "PineconeNotFoundError" });
  });

  it("of what the server does not have is a 501, in plain words", async () => {
    const index = client.index({ name: "kb" });
    for (const call of [
      () => index.startImport({ uri: "s3://bucket/folder" }),
      () => index.listImports(),
      () => client.createBackup({ indexName: "kb" }),
      () => client.listBackups({ indexName: "kb" }),
      () => client.listCollections(),
    ])
      // The client keeps neither the status nor the text of a 5xx.
      await expect(call()).rejects.toMatchObject({ name: "PineconeMaxRetriesExceededError" });
    const response = await fetch(`${server.url}/backups`, { headers: { "api-key": apiKey } });
    expect(response.status).toBe(501);
    expect(await response.text()).toContain("does not support backups");
  });
});
