import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startLocalPinecone, type LocalPinecone } from "./server.ts";

let dir: string;
let server: LocalPinecone;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  const spec = { serverless: { cloud: "aws", region: "us-east-1" } };
  await post("/indexes", { name: "kb", dimension: 2, spec });
  await post("/indexes", { name: "hybrid", dimension: 2, metric: "dotproduct", spec });
});
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

async function post(path: string, body: unknown) {
  const where = /^\/(i|indexes)(\/|$)/.test(path) ? path : `/i/kb${path}`;
  const response = await fetch(server.url + where, {
    method: "POST",
    headers: { "Api-Key": "any" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return {
    status: response.status,
    body: (await response.json()) as {
      code?: number;
      message?: string;
      matches?: { id: string; metadata?: object }[];
    },
  };
}

const values = [1, 1];
const one = (vector: object) => ({ vectors: [{ id: "a", values, ...vector }] });
const many = (count: number) => Array.from({ length: count }, (_, i) => `id${i}`);

const refusals: readonly [what: string, path: string, body: unknown, message: string][] = [
  [
    "a wrong dimension",
    "/vectors/upsert",
    one({ values: [1] }),
    "Vector dimension 1 does not match the dimension of the index 2",
  ],
  ["zeros", "/vectors/upsert", one({ values: [0, 0] }), "Vector ID 'a' contains only zeros"],
  [
    "NaN as the client sends it",
    "/vectors/upsert",
    one({ values: [null, 1] }),
    "Vector values must be numbers, got null at 0 of vector 'a'",
  ],
  [
    "a typed array as the client sends it",
    "/vectors/upsert",
    one({ values: { 0: 1, 1: 1 } }),
    "must be a list of numbers",
  ],
  ["a float64 that is no float32", "/vectors/upsert", one({ values: [1e300, 1] }), "finite"],
  ["an infinite query", "/query", '{"topK":1,"vector":[1e999,1]}', "finite 32-bit floats"],
  ["a non-ASCII id", "/vectors/upsert", one({ id: "ü" }), "Vector ID must be ASCII, but got 'ü'"],
  [
    "NUL in an id",
    "/vectors/upsert",
    one({ id: "a\0b" }),
    "Vector ID must not contain null character",
  ],
  ["an empty id", "/vectors/upsert", one({ id: "" }), "1 to 512 characters"],
  ["a long id", "/vectors/upsert", one({ id: "x".repeat(513) }), "1 to 512 characters"],
  [
    "null in metadata",
    "/vectors/upsert",
    one({ metadata: { x: null } }),
    "got 'null' for field 'x'",
  ],
  ["nested metadata", "/vectors/upsert", one({ metadata: { x: { y: 1 } } }), "for field 'x'"],
  [
    "a list of numbers",
    "/vectors/upsert",
    one({ metadata: { x: [1] } }),
    "list of strings, got '[1]'",
  ],
  ["a $ key", "/vectors/upsert", one({ metadata: { $x: 1 } }), "'$x'"],
  [
    "large metadata",
    "/vectors/upsert",
    one({ metadata: { x: "y".repeat(41_000) } }),
    "which exceeds the limit of 40960 bytes per vector",
  ],
  ["no vectors", "/vectors/upsert", { vectors: [] }, "1 to 1000 vectors"],
  [
    "too many vectors",
    "/vectors/upsert",
    { vectors: many(1_001).map((id) => ({ id, values })) },
    "1 to 1000 vectors, got 1001",
  ],
  [
    "over 2 MB",
    "/vectors/upsert",
    one({ metadata: { x: "y".repeat(2_500_000) } }),
    "Request size 3MB exceeds the maximum supported size of 2MB",
  ],
  [
    "over 4 MiB",
    "/query",
    "x".repeat(4_200_000),
    "message length too large: found 4200000 bytes, the limit is: 4194304 bytes",
  ],
  ["no JSON", "/query", "{", "not JSON"],
  [
    "a sparse question where sparse values do not count",
    "/query",
    { topK: 1, vector: values, sparseVector: { indices: [1], values: [1] } },
    "only indexes that are sparse or using dotproduct",
  ],
  [
    "sparse indices that are no integers",
    "/i/hybrid/vectors/upsert",
    one({ sparseValues: { indices: [1.5], values: [1] } }),
    "integers from 0 to 2^32-1, got 1.5",
  ],
  [
    "a sparse index twice",
    "/i/hybrid/vectors/upsert",
    one({ sparseValues: { indices: [1, 1], values: [1, 2] } }),
    "must be unique",
  ],
  [
    "uneven sparse values",
    "/i/hybrid/vectors/upsert",
    one({ sparseValues: { indices: [1], values: [] } }),
    "1 indices but 0 values",
  ],
  [
    "empty sparse values",
    "/i/hybrid/vectors/upsert",
    one({ sparseValues: { indices: [], values: [] } }),
    "1 to 1000 entries",
  ],
  [
    "a delete of nothing",
    "/vectors/delete",
    { namespace: "" },
    "exactly one of ids, filter and deleteAll",
  ],
  ["a delete of two kinds", "/vectors/delete", { ids: ["a"], deleteAll: true }, "exactly one"],
  ["no ids", "/vectors/delete", { ids: [] }, "1 to 1000 ids"],
  ["too many ids", "/vectors/delete", { ids: many(1_001) }, "1 to 1000 ids"],
  ["an empty filter", "/vectors/delete", { filter: {} }, "must not be empty"],
  ["an update of nothing", "/vectors/update", { setMetadata: {} }, "exactly one of id and filter"],
  ["an update without a change", "/vectors/update", { id: "a" }, "nothing to set"],
  ["values by filter", "/vectors/update", { filter: { a: 1 }, values }, "metadata only"],
  ["no vector and no id", "/query", { topK: 1 }, "vector and id"],
  ["both vector and id", "/query", { topK: 1, vector: values, id: "a" }, "vector and id"],
  ["no topK", "/query", { vector: values }, "topK"],
  ["topK of 10,001", "/query", { vector: values, topK: 10_001 }, "topK: must be an integer from 1"],
  ["topK of 0", "/query", { vector: values, topK: 0 }, "topK"],
  ["topK over 10000", "/query", { vector: values, topK: 10_001 }, "topK"],
  ["stats with a filter", "/describe_index_stats", { filter: { a: 1 } }, "no filter"],
  [
    "an unknown operator",
    "/query",
    { vector: values, topK: 1, filter: { a: { $not: 1 } } },
    "$not operator of field 'a'",
  ],
  [
    "a bare operator",
    "/query",
    { vector: values, topK: 1, filter: { $eq: 1 } },
    "$eq operator is not supported at the top",
  ],
  ["an empty $or", "/query", { vector: values, topK: 1, filter: { $or: [] } }, "$or operator"],
  [
    "a mixed list",
    "/query",
    { vector: values, topK: 1, filter: { a: { $nin: [1, "a"] } } },
    'the $nin operator must be followed by a list of strings or a list of numbers, got [1,"a"] instead',
  ],
  [
    "a text to compare",
    "/query",
    { vector: values, topK: 1, filter: { a: { $gt: "a" } } },
    "$gt operator must be followed by a number",
  ],
];

describe("refused with 400 and code 3", () => {
  for (const [what, path, body, message] of refusals) {
    it(what, async () => {
      const answer = await post(path, body);
      expect(answer).toMatchObject({
        status: 400,
        body: { code: 3, message: expect.stringContaining(message) },
      });
    });
  }
});

describe("an update whose metadata together with the old is over 40 KB", () => {
  const size = (...lengths: number[]) =>
    Object.fromEntries(lengths.map((length, at) => [`k${at}`, "x".repeat(length)]));
  const limit = 40_960;
  /** What one key costs in JSON besides its text: `"k0":"",`, and the braces once. */
  const [perKey, braces] = [8, 1];
  const half = limit / 2 - perKey;
  const metadataOf = async (id: string, namespace: string) => {
    const { body } = await post("/query", { namespace, topK: 2, id, includeMetadata: true });
    return body.matches?.find((match) => match.id === id)?.metadata;
  };
  const update = (namespace: string, target: object, length: number) =>
    post("/vectors/update", { namespace, ...target, setMetadata: { k1: "x".repeat(length) } });

  it("is refused whole, by id and by filter; one that just fits is not", async () => {
    const namespace = "merge";
    const fits = half - braces;
    const vectors = [
      { id: "small", values, metadata: { k0: "x" } },
      { id: "large", values, metadata: size(half) },
    ];
    await post("/vectors/upsert", { namespace, vectors });
    for (const target of [{ id: "large" }, { filter: { k0: { $exists: true } } }])
      expect(await update(namespace, target, fits + 1)).toMatchObject({
        status: 400,
        body: {
          code: 3,
          message: `metadata size is ${limit + 1} bytes, which exceeds the limit of ${limit} bytes per vector`,
        },
      });
    expect(await metadataOf("large", namespace)).toEqual(size(half));
    expect(await metadataOf("small", namespace)).toEqual({ k0: "x" });
    expect((await update(namespace, { id: "large" }, fits)).status).toBe(200);
    expect(await metadataOf("large", namespace)).toEqual(size(half, fits));
  });

  it("is dropped whole when it became so while it waited", async () => {
    const namespace = "waiting";
    const settings = (body: object) =>
      fetch(`${server.url}/_admin/settings`, {
        method: "PATCH",
        headers: { "Api-Key": "any" },
        body: JSON.stringify(body),
      });
    const vectors = ["a", "b"].map((id) => ({ id, values, metadata: { k0: "x" } }));
    await post("/vectors/upsert", { namespace, vectors });
    await settings({ mode: "paused" });
    const grown = [{ id: "b", values, metadata: size(half) }];
    await post("/vectors/upsert", { namespace, vectors: grown });
    expect((await update(namespace, { filter: { k0: { $exists: true } } }, half)).status).toBe(200);
    await settings({ mode: "auto" });
    expect(await metadataOf("a", namespace)).toEqual({ k0: "x" });
    expect(await metadataOf("b", namespace)).toEqual(size(half));
  });
});

it("keeps sparse values where they do not count, and refuses to score them", async () => {
  const namespace = "sparse";
  const sparseValues = { indices: [1], values: [2] };
  const vectors = ["a", "b"].map((id) => ({ id, values, sparseValues }));
  expect((await post("/vectors/upsert", { namespace, vectors })).status).toBe(200);
  const { body } = await post("/query", { namespace, topK: 2, id: "a", includeValues: true });
  expect(body.matches).toMatchObject([
    { id: "a", sparseValues, score: expect.closeTo(1, 6) },
    { id: "b", sparseValues, score: expect.closeTo(1, 6) },
  ]);
});

it("answers empty metadata as none", async () => {
  const vectors = [{ id: "a", values, metadata: {} }];
  await post("/vectors/upsert", { namespace: "empty", vectors });
  const asked = { namespace: "empty", topK: 1, id: "a", includeMetadata: true };
  expect((await post("/query", asked)).body.matches?.[0]).not.toHaveProperty("metadata");
});

describe("a filter", () => {
  const documents: Record<string, object> = {
    plain: { s: "x", n: 1, b: true },
    list: { s: ["x", "y"], n: -2.5, b: false },
    odd: { "a.b": "dot", 'q"': "quote", "": "empty", s: '["x"]', n: 1e300 },
    digits: { s: "1", n: 0 },
    none: {},
  };
  const cases: readonly [filter: object, matching: string[]][] = [
    [{ s: "x" }, ["list", "plain"]],
    [{ s: { $eq: "x" } }, ["list", "plain"]],
    [{ s: { $ne: "x" } }, ["digits", "none", "odd"]],
    [{ s: { $in: ["y", "1"] } }, ["digits", "list"]],
    [{ s: { $nin: ["y", "1"] } }, ["none", "odd", "plain"]],
    [{ s: { $in: [] } }, []],
    [{ n: { $nin: [] } }, ["digits", "list", "none", "odd", "plain"]],
    [{ n: 1 }, ["plain"]],
    [{ n: "1" }, []],
    [{ s: 1 }, []],
    [{ b: 1 }, []],
    [{ n: true }, []],
    [{ b: true }, ["plain"]],
    [{ b: { $ne: true } }, ["digits", "list", "none", "odd"]],
    [{ n: { $in: [0, 1e300] } }, ["digits", "odd"]],
    [{ n: { $gt: 0 } }, ["odd", "plain"]],
    [{ n: { $gte: 0, $lt: 1 } }, ["digits"]],
    [{ n: { $lte: -2.5 } }, ["list"]],
    [{ s: { $gt: 0 } }, []],
    [{ b: { $exists: true } }, ["list", "plain"]],
    [{ b: { $exists: false } }, ["digits", "none", "odd"]],
    [{ "a.b": "dot", 'q"': "quote", "": "empty" }, ["odd"]],
    [{ $or: [{ n: 0 }, { $and: [{ s: "y" }, { b: false }] }] }, ["digits", "list"]],
    [{ s: "x", $or: [{ n: 1 }, { n: 0 }] }, ["plain"]],
  ];

  beforeAll(async () => {
    const vectors = Object.entries(documents).map(([id, metadata]) => ({ id, values, metadata }));
    await post("/vectors/upsert", { namespace: "filters", vectors });
  });
  for (const [filter, matching] of cases) {
    it(`${JSON.stringify(filter)} finds ${matching.join(", ") || "nothing"}`, async () => {
      const { body } = await post("/query", {
        namespace: "filters",
        topK: 10,
        vector: values,
        filter,
      });
      expect(body.matches?.map(({ id }) => id)).toEqual(matching);
    });
  }
});
