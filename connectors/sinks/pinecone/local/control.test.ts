import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, serverless } from "./harness.ts";
import { startLocalPinecone, type LocalPinecone } from "./server.ts";

let dir: string;
let server: LocalPinecone;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
});
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const create = (body: object) => ask(server.url, "POST", "/indexes", body);
const dense = { dimension: 2, metric: "cosine" };
const embedding = { type: "dense_vector", ...dense };

const told: readonly [what: string, asked: object, answer: object][] = [
  [
    "bring-your-own-cloud",
    { ...dense, spec: { byoc: { environment: "aws-us-east-1-b921" } } },
    {
      spec: { byoc: { environment: "aws-us-east-1-b921" } },
      deployment: { deployment_type: "byoc", environment: "aws-us-east-1-b921" },
    },
  ],
  [
    "pods",
    { ...dense, spec: { pod: { environment: "e", pod_type: "p1.x1", replicas: 2, shards: 3 } } },
    {
      spec: { pod: { environment: "e", pod_type: "p1.x1", replicas: 2, shards: 3, pods: 6 } },
      deployment: { deployment_type: "pod", replicas: 2, shards: 3 },
    },
  ],
  [
    "a schema for its metadata",
    {
      ...dense,
      spec: {
        serverless: { ...serverless.serverless, schema: { fields: { a: { filterable: true } } } },
      },
    },
    { spec: { serverless: { schema: { fields: { a: { filterable: true } } } } } },
  ],
  [
    "sparse vectors by a schema",
    { schema: { fields: { _sparse_values: { type: "sparse_vector" } } } },
    {
      vector_type: "sparse",
      metric: "dotproduct",
      deployment: { deployment_type: "managed", cloud: "aws", region: "us-east-1" },
    },
  ],
  [
    "dense and sparse vectors by a schema",
    {
      schema: {
        fields: {
          _values: { type: "dense_vector", dimension: 5, metric: "dotproduct" },
          _sparse_values: { type: "sparse_vector" },
        },
      },
    },
    { dimension: 5, vector_type: "dense", metric: "dotproduct" },
  ],
];
for (const [at, [what, asked, answer]] of told.entries())
  it(`tells back an index with ${what}`, async () => {
    const name = `told-${at}`;
    const made = await create({ name, ...asked });
    expect(made).toMatchObject({ status: 201, body: { name, ...answer } });
    const described = await ask(server.url, "GET", `/indexes/${name}`);
    expect(described.body).toEqual(made.body);
  });

const refused: readonly [what: string, asked: object, status: number, message: string][] = [
  ["without a dimension", { metric: "cosine", spec: serverless }, 400, "dimension"],
  ["of too many dimensions", { dimension: 20_001, spec: serverless }, 400, "dimension"],
  ["without a spec", dense, 400, "spec"],
  [
    "of two kinds",
    { ...dense, spec: { ...serverless, byoc: { environment: "e" } } },
    400,
    "exactly one of serverless, pod and byoc",
  ],
  [
    "of another metric",
    { dimension: 2, metric: "manhattan", spec: serverless },
    400,
    "Invalid field 'metric'",
  ],
  [
    "that is sparse and has a dimension",
    { vector_type: "sparse", dimension: 2, spec: serverless },
    400,
    "Sparse indexes cannot have a `dimension`",
  ],
  [
    "that is sparse and cosine",
    { vector_type: "sparse", metric: "cosine", spec: serverless },
    400,
    "Sparse indexes must have a `metric` of `dotproduct`",
  ],
  [
    "with a text field that is not searched",
    { schema: { fields: { title: { type: "string" } } } },
    422,
    "title: a string field needs full_text_search",
  ],
  [
    "with a field to filter by",
    { schema: { fields: { embedding, title: { type: "string", filterable: true } } } },
    400,
    "The schema only accepts fields used for search",
  ],
  ["with a field of no type", { schema: { fields: { a: { type: "matrix" } } } }, 422, "type"],
  [
    "with a dense field without its dimension",
    { schema: { fields: { a: { type: "dense_vector", metric: "cosine" } } } },
    422,
    "dimension",
  ],
  [
    "with a dense field of another metric",
    { schema: { fields: { a: { ...embedding, metric: "manhattan" } } } },
    422,
    "metric",
  ],
  [
    "with a dense field of too many dimensions",
    { schema: { fields: { a: { ...embedding, dimension: 20_001 } } } },
    400,
    "dimension must be from 1 to 20000, got 20001",
  ],
  ["with two dense fields", { schema: { fields: { a: embedding, b: embedding } } }, 400, "2 dense"],
  [
    "with two sparse fields",
    { schema: { fields: { a: { type: "sparse_vector" }, b: { type: "sparse_vector" } } } },
    400,
    "2 sparse",
  ],
  ["without fields", { schema: { fields: {} } }, 400, "at least one field"],
  [
    "of vectors with other fields beside them",
    { schema: { fields: { _values: embedding, a: embedding } } },
    400,
    "'_values' is of vector indexes",
  ],
  [
    "with vectors of the wrong type",
    { schema: { fields: { _values: { type: "sparse_vector" } } } },
    400,
    "'_values' must be of type dense_vector",
  ],
  ["with a reserved name", { schema: { fields: { $a: embedding } } }, 400, "not begin with"],
  [
    "with a field that it would embed",
    { schema: { fields: { a: { type: "semantic_text", model: "multilingual-e5-large" } } } },
    400,
    "semantic_text fields are not supported in schema",
  ],
  [
    "with a text that it would embed",
    { schema: { fields: { a: { type: "string", embed: { model: "m" } } } } },
    501,
    "documents that it embeds itself",
  ],
  [
    "of an unknown deployment",
    { schema: { fields: { embedding } }, deployment: { SERVERLESS: { cloud: "aws" } } },
    422,
    "deployment",
  ],
  [
    "of a deployment with unknown parts",
    {
      schema: { fields: { embedding } },
      deployment: { deployment_type: "managed", cloud: "aws", region: "r", zone: "z" },
    },
    422,
    "zone",
  ],
  [
    "of pods by a schema",
    {
      schema: { fields: { embedding } },
      deployment: { deployment_type: "pod", environment: "e" },
    },
    400,
    "deployment_type 'pod' is not supported on this API version",
  ],
  [
    "of pods that is sparse",
    { vector_type: "sparse", spec: { pod: { environment: "e" } } },
    400,
    "Sparse vector type is not supported for pod indexes",
  ],
];
for (const [what, asked, status, message] of refused)
  it(`refuses an index ${what}`, async () => {
    expect(await create({ name: "refused", ...asked })).toMatchObject({
      status,
      body: { status, error: { message: expect.stringContaining(message) } },
    });
  });

describe("an index of documents", () => {
  const fields = { embedding, body: { type: "string", full_text_search: { language: "en" } } };

  it("is told back with its fields", async () => {
    const made = await create({ name: "documents", schema: { fields } });
    expect(made).toMatchObject({
      status: 201,
      body: { schema: { fields }, dimension: 2, metric: "cosine", vector_type: "dense" },
    });
    const texts = await create({ name: "texts", schema: { fields: { body: fields.body } } });
    expect(texts.status).toBe(201);
    expect(texts.body).not.toHaveProperty("dimension");
    expect(texts.body).not.toHaveProperty("vector_type");
  });

  it("takes no vectors, and reads find none", async () => {
    const vectors = [{ id: "a", values: [1, 1] }];
    for (const [path, body] of [
      ["/vectors/upsert", { vectors }],
      ["/vectors/update", { id: "a", setMetadata: { a: 1 } }],
      ["/vectors/delete", { ids: ["a"] }],
    ] as const)
      expect(await ask(server.url, "POST", `/i/documents${path}`, body), path).toMatchObject({
        status: 400,
        body: {
          code: 3,
          message: expect.stringContaining("writes must go through the documents API"),
        },
      });
    const question = { topK: 3, vector: [1, 1] };
    const read = async (method: string, path: string, body?: object) =>
      (await ask(server.url, method, `/i/documents${path}`, body)).body;
    expect(await read("POST", "/query", question)).toMatchObject({ matches: [] });
    expect(await read("GET", "/vectors/fetch?ids=a")).toMatchObject({ vectors: {} });
    expect(await read("POST", "/describe_index_stats", {})).toMatchObject({ totalVectorCount: 0 });
    const edit = { index: "documents", upsert: vectors };
    expect((await ask(server.url, "POST", "/_admin/edit", edit)).status).toBe(400);
  });

  it("takes no embedding", async () => {
    const embed = { model: "multilingual-e5-large", field_map: { text: "body" } };
    const changed = await ask(server.url, "PATCH", "/indexes/documents", { embed });
    expect(changed.status).toBe(400);
  });

  it("is given a name when it has none", async () => {
    const made = await create({ schema: { fields: { embedding } } });
    const { name } = made.body as unknown as { name: string };
    expect(name).toMatch(/^[a-z0-9-]{1,45}$/);
    expect((await ask(server.url, "GET", `/indexes/${name}`)).status).toBe(200);
    expect((await create({ ...dense, spec: serverless })).status).toBe(400);
  });
});

it("scales a pod index in words, and no other", async () => {
  const pods = { spec: { pod: { replicas: 4, pod_type: "p1.x2" } } };
  const scaled = await ask(server.url, "PATCH", "/indexes/told-1", pods);
  expect(scaled.body).toMatchObject({
    spec: { pod: { replicas: 4, pod_type: "p1.x2", pods: 12 } },
  });
  const other = await ask(server.url, "PATCH", "/indexes/told-0", pods);
  expect(other.status).toBe(400);
});

it("makes an index anew under the name of one that was deleted, with nothing of it", async () => {
  const upsert = () =>
    ask(server.url, "POST", "/i/again/vectors/upsert", { vectors: [{ id: "a", values: [1, 1] }] });
  const query = () =>
    ask(server.url, "POST", "/i/again/query", { topK: 5, vector: [1, 0, 0].slice(0, dimension) });
  let dimension = 2;
  await create({ name: "again", ...dense, spec: serverless });
  await upsert();
  await query();
  expect((await ask(server.url, "DELETE", "/indexes/again")).status).toBe(202);
  expect((await query()).status).toBe(404);
  dimension = 3;
  await create({ name: "again", dimension, metric: "euclidean", spec: serverless });
  expect((await query()).body).toMatchObject({ matches: [] });
  const vectors = [{ id: "b", values: [1, 0, 2] }];
  const written = await ask(server.url, "POST", "/i/again/vectors/upsert", { vectors });
  expect(written.header("x-pinecone-request-lsn")).toBe("1");
  expect((await query()).body).toMatchObject({ matches: [{ id: "b", score: 4 }] });
});
