import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { ask, serverless, startChild } from "./harness.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

let dir = "";
let stop: (() => Promise<void>) | undefined;

afterEach(async () => {
  await stop?.();
  await rm(dir, { recursive: true });
});

/** Numbers from 0 to 1 that a seed repeats. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
const next = random(20_261_126);
const one = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T; // no list is empty

const filter: Json = { $or: [{ a: { $in: ["x"] } }, { $and: [{ b: { $gt: 1 } }, { c: true }] }] };
const spec: Json = serverless;
const calls: readonly (readonly [method: string, path: string, body?: Json])[] = [
  ["POST", "/indexes", { name: "new", dimension: 3, metric: "cosine", spec, tags: { a: "b" } }],
  [
    "POST",
    "/indexes",
    {
      name: "newer",
      schema: { fields: { _values: { type: "dense_vector", dimension: 3, metric: "cosine" } } },
      deployment: { deployment_type: "managed", cloud: "aws", region: "x" },
    },
  ],
  [
    "POST",
    "/indexes/create-for-model",
    {
      name: "model",
      cloud: "aws",
      region: "x",
      embed: { model: "multilingual-e5-large", field_map: { text: "t" } },
    },
  ],
  ["GET", "/indexes"],
  ["GET", "/indexes/kb"],
  ["PATCH", "/indexes/kb", { tags: { a: "b" }, deletion_protection: "enabled", spec }],
  ["DELETE", "/indexes/new"],
  [
    "POST",
    "/i/kb/vectors/upsert",
    {
      namespace: "fuzz",
      vectors: [
        { id: "a", values: [1, 2], metadata: { a: "x", b: 2, c: true, d: ["x"] } },
        { id: "b", values: [1, 2], sparseValues: { indices: [1], values: [0.5] } },
      ],
    },
  ],
  [
    "POST",
    "/i/kb/query",
    { namespace: "fuzz", topK: 3, vector: [1, 2], filter, includeMetadata: true },
  ],
  ["POST", "/i/kb/query", { namespace: "fuzz", topK: 3, id: "a", includeValues: true }],
  ["GET", "/i/kb/vectors/fetch?ids=a&ids=b%23&namespace=fuzz"],
  ["POST", "/i/kb/vectors/fetch_by_metadata", { namespace: "fuzz", filter, limit: 3 }],
  ["GET", "/i/kb/vectors/list?prefix=a&limit=3&namespace=fuzz&paginationToken=eyJ9"],
  [
    "POST",
    "/i/kb/vectors/update",
    { namespace: "fuzz", id: "a", values: [1, 2], setMetadata: { a: 1 } },
  ],
  ["POST", "/i/kb/vectors/update", { namespace: "fuzz", filter, setMetadata: { a: 1 } }],
  ["POST", "/i/kb/vectors/delete", { namespace: "fuzz", ids: ["b"] }],
  ["POST", "/i/kb/vectors/delete", { namespace: "fuzz", filter }],
  ["POST", "/i/kb/describe_index_stats", {}],
  ["POST", "/i/kb/namespaces", { name: "n", schema: { fields: { a: { filterable: true } } } }],
  ["GET", "/i/kb/namespaces?limit=3&prefix=a&paginationToken=x"],
  ["GET", "/i/kb/namespaces/fuzz"],
  ["DELETE", "/i/kb/namespaces/n"],
  ["POST", "/i/words/records/namespaces/fuzz/upsert", { _id: "r", t: "text", a: 1 }],
  [
    "POST",
    "/i/words/records/namespaces/fuzz/search",
    {
      query: { top_k: 3, inputs: { text: "x" }, filter },
      fields: ["t"],
      rerank: { model: "bge-reranker-v2-m3", rank_fields: ["t"], top_n: 1 },
    },
  ],
  ["POST", "/embed", { model: "multilingual-e5-large", inputs: [{ text: "a" }] }],
  ["POST", "/rerank", { model: "bge-reranker-v2-m3", query: "a", documents: [{ text: "a" }] }],
  ["GET", "/models?type=embed"],
  ["GET", "/models/multilingual-e5-large"],
  ["POST", "/i/kb/bulk/imports", { uri: "s3://a/b" }],
  ["POST", "/_admin/edit", { index: "kb", namespace: "fuzz", upsert: [], delete: ["a"] }],
  ["POST", "/_admin/release", { index: "kb", namespace: "fuzz", count: 1 }],
];

const deep = (depth: number, open: string, close: string) =>
  open.repeat(depth) + close.repeat(depth);
const odd: readonly Json[] = [
  [null, true, false, 0, -1, 1.5, 1e300, 2 ** 53, "", "x", "\0", "\ud800", "\u{1f600}", "$eq"],
  ["__proto__", "constructor", "' OR 1=1 --", "%00", "x".repeat(600), "ü", "-1", "1e999"],
  [[], [[]], [null], [1, "a"], ["a", 1], {}, { "": 1 }, { $eq: 1 }, { $and: [] }],
  [{ $in: [1, "a"] }, { length: 3 }, [[[[[[[[[]]]]]]]]], { $or: {} }, { indices: [1] }],
].flat(1);

/** The value with one of its parts replaced, dropped, doubled or renamed. */
function mutated(value: Json): Json {
  if (next() < 0.25 || typeof value !== "object" || value === null) return one(odd);
  const keys = Object.keys(value);
  if (keys.length === 0) return one(odd);
  const key = one(keys);
  if (Array.isArray(value)) {
    const at = Number(key);
    const kind = next();
    if (kind < 0.15) return value.toSpliced(at, 1);
    if (kind < 0.3) return Array.from({ length: one([2, 1_001]) }, () => value[at] ?? null);
    return value.with(at, mutated(value[at] ?? null));
  }
  const kind = next();
  const others = Object.entries(value).filter(([name]) => name !== key);
  if (kind < 0.15) return Object.fromEntries(others);
  if (kind < 0.3)
    return Object.fromEntries([...others, [JSON.stringify(one(odd)), value[key] ?? null]]);
  return Object.fromEntries([...others, [key, mutated(value[key] ?? null)]]);
}

function damaged(body: Json): string {
  const text = JSON.stringify(next() < 0.85 ? mutated(body) : body);
  const at = Math.floor(next() * text.length);
  switch (Math.floor(next() * 20)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return (
        text.slice(0, at) + one(["\0", '"', "}", "]", ",", "\ud800", "1e999"]) + text.slice(at)
      );
    case 2:
      return one([deep(one([100, 20_000]), "[", "]"), deep(one([100, 20_000]), '{"a":', "}")]);
    case 3:
      return text.replaceAll(/\d+/g, one(["1e999", "-0", "1e-999", "0.1", "9".repeat(400)]));
    case 4:
      return `{"namespace":"fuzz","filter":${deep(one([40, 5_000]), '{"$and":[', "]}")}}`;
    default:
      return text;
  }
}

function bent(path: string): string {
  const at = Math.floor(next() * path.length);
  switch (Math.floor(next() * 14)) {
    case 0:
      return path.slice(0, at);
    case 1:
      return (
        path.slice(0, at) +
        one(["%", "%ff", "%00", "/", "//", "?", "&", "..", "%2F"]) +
        path.slice(at)
      );
    case 2:
      return path.replaceAll(
        /=[^&]*/g,
        `=${one(["", "-1", "1.5", "x", "1e9", "%ff", "%00", "\u00fc"])}`,
      );
    case 3:
      return path.replace("kb", one(["", "none", "words", "%6bb", "__proto__", ".."]));
    default:
      return path;
  }
}

it("answers 10,000 malformed requests with a refusal or an answer, never with a failure", async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  const { child, url } = await startChild({
    dir,
    embedding: { provider: "hash", dimensions: 384 },
  });
  const exited = once(child, "exit");
  stop = async () => {
    child.kill();
    await exited;
  };
  const index = { dimension: 2, metric: "dotproduct", spec };
  await ask(url, "POST", "/indexes", { name: "kb", ...index });
  await ask(url, "POST", "/indexes/create-for-model", {
    name: "words",
    cloud: "aws",
    region: "x",
    embed: { model: "all-minilm-l6-v2", field_map: { text: "t" } },
  });
  const kept = { namespace: "kept", vectors: [{ id: "a", values: [1, 2], metadata: { a: 1 } }] };
  expect((await ask(url, "POST", "/i/kb/vectors/upsert", kept)).status).toBe(200);

  const statuses = new Map<number, number>();
  const send = async (): Promise<void> => {
    const [method, path, body] = one(calls);
    const way = next() < 0.03 ? one(["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE"]) : method;
    const target = new URL(url);
    const text = body === undefined ? "" : damaged(body);
    const key = next() < 0.02 ? {} : { "api-key": one(["any", "x"]) };
    // Said in so many words: of a GET or DELETE, node:http would send the body without its length.
    const headers = { ...key, "content-length": Buffer.byteLength(text) };
    // Not `fetch`, which would mend the path and refuse some bodies.
    const asking = request({
      host: target.hostname,
      port: target.port,
      method: way,
      headers,
      path: bent(path).replaceAll(/[^!-~]/g, (letter) => encodeURI(letter)),
    });
    asking.end(text);
    const [response] = (await once(asking, "response")) as [import("node:http").IncomingMessage];
    response.resume();
    await once(response, "end");
    const { statusCode = 0 } = response;
    statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1);
    const isHonest = statusCode < 500 || statusCode === 501;
    expect(isHonest, `${statusCode}: ${way} ${asking.path} ${text.slice(0, 2_000)}`).toBe(true);
  };
  const worker = async (): Promise<void> => {
    for (let sent = 0; sent < 1_250; sent++) await send();
  };
  await Promise.all(Array.from({ length: 8 }, worker));

  // The generator must neither be all refused at the door nor be harmless.
  expect(statuses.get(400) ?? 0).toBeGreaterThan(2_000);
  expect(statuses.get(200) ?? 0).toBeGreaterThan(500);
  expect(child.exitCode).toBe(null);
  const after = await ask(url, "GET", "/i/kb/vectors/fetch?ids=a&namespace=kept");
  expect(after.body).toMatchObject({ vectors: { a: { values: [1, 2], metadata: { a: 1 } } } });
}, 180_000);

it("outlives what is not even HTTP", async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  const { child, url } = await startChild({ dir });
  const exited = once(child, "exit");
  stop = async () => {
    child.kill();
    await exited;
  };
  const { hostname, port } = new URL(url);
  const head = "POST /vectors/upsert HTTP/1.1\r\nHost: 127.0.0.1\r\nApi-Key: x\r\n";
  for (const bytes of [
    "\0\0\0",
    "GET / HTTP/9.9\r\n\r\n",
    "GET  HTTP/1.1\r\n\r\n",
    `${head}Content-Length: -1\r\n\r\n`,
    `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz`,
    `${head}X: ${"y".repeat(20_000)}\r\n\r\n`,
    `${head}Content-Length: 100\r\n\r\n{`,
    head,
    `${head}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  ]) {
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {}); // a reset is an answer
    let answer = "";
    socket.on("data", (data) => (answer += String(data)));
    socket.end(Buffer.from(bytes, "latin1"));
    await once(socket, "close");
    expect(answer).not.toMatch(/^HTTP\/1.1 5/);
  }
  expect((await ask(url, "GET", "/indexes")).status).toBe(200);
});
