import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
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
    "of documents",
    { schema: { fields: { title: { type: "string", full_text_search: {} } } } },
    501,
    "indexes of documents",
  ],
  [
    "with other fields in its schema",
    {
      schema: {
        fields: { _values: { type: "dense_vector", dimension: 2 }, a: { type: "string" } },
      },
    },
    501,
    "such as 'a'",
  ],
];
for (const [what, asked, status, message] of refused)
  it(`refuses an index ${what}`, async () => {
    expect(await create({ name: "refused", ...asked })).toMatchObject({
      status,
      body: { status, error: { message: expect.stringContaining(message) } },
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
