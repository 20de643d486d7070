import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startLocalPinecone, type LocalPinecone } from "../server.ts";

type Metric = "cosine" | "dotproduct" | "euclidean";
type Sparse = { indices: number[]; values: number[] };
type Vector = { id: string; values?: number[]; sparseValues?: Sparse; metadata: { n: number } };
type Match = { id: string; score: number };

let dir: string;
let servers: LocalPinecone[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.close();
  await rm(dir, { recursive: true });
});

async function start(maxMemoryBytes?: number, readOnly = false): Promise<LocalPinecone> {
  const options = { host: "127.0.0.1", port: 0, dir, readOnly };
  const server = await startLocalPinecone({
    ...options,
    ...(maxMemoryBytes && { maxMemoryBytes }),
  });
  servers.push(server);
  return server;
}

async function call(server: LocalPinecone | undefined, path: string, body: object) {
  const response = await fetch(`${server?.url}${path}`, {
    method: "POST",
    headers: { "Api-Key": "any" },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as { matches: Match[]; message?: string };
  expect(response.ok, answer.message).toBe(true);
  return answer;
}

/** Numbers from -1 to 1 that a seed repeats. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

const dimension = 21;

function makeVector(id: string, next: () => number, sparse: boolean): Vector {
  // Lengths from tiny to huge, and directions that repeat: ties, and codes that are all alike.
  const scale = 10 ** Math.round(next() * 12);
  const coarse = next() > 0.5;
  const values = Array.from({ length: dimension }, () =>
    Math.fround((coarse ? Math.round(next()) : next()) * scale),
  );
  values[0] ||= Math.fround(scale);
  const indices = [...new Set([0, 1, 2].map(() => Math.round((next() + 1) * 8)))];
  const sparseValues = { indices, values: indices.map(() => Math.fround(next())) };
  return { id, values, ...(sparse && { sparseValues }), metadata: { n: Math.round(next() * 5) } };
}

/** The plain definition of each score, on float32 values in double precision. */
function scoreOf(metric: Metric, vector: Vector, query: Vector): number {
  const [a, b] = [vector.values ?? [], query.values ?? []];
  const at = (index: number) => Math.fround(b[index] ?? 0);
  if (metric === "euclidean") return a.reduce((sum, value, i) => sum + (value - at(i)) ** 2, 0);
  const dot = a.reduce((sum, value, i) => sum + value * at(i), 0);
  if (metric === "cosine") return dot / (length(a) * length(b));
  const weights = new Map(
    query.sparseValues?.indices.map((i, n) => [i, query.sparseValues?.values[n] ?? 0]),
  );
  const { indices, values } = vector.sparseValues ?? { indices: [], values: [] };
  return dot + indices.reduce((sum, i, n) => sum + (weights.get(i) ?? 0) * (values[n] ?? 0), 0);
}

function length(values: readonly number[]): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

function expected(metric: Metric, vectors: Iterable<Vector>, query: Vector, topK: number) {
  const sign = metric === "euclidean" ? 1 : -1;
  return [...vectors]
    .map((vector) => ({ id: vector.id, score: scoreOf(metric, vector, query) }))
    .toSorted((a, b) => sign * (a.score - b.score) || (a.id < b.id ? -1 : 1))
    .slice(0, topK);
}

/** The same scores, and the same ids but where scores are equal to the last bits. */
function expectSame(found: readonly Match[], wanted: readonly Match[]): void {
  expect(found).toHaveLength(wanted.length);
  for (const [at, { id, score }] of wanted.entries()) {
    const near = Math.max(1e-30, Math.abs(score) * 1e-9);
    expect(Math.abs((found[at]?.score ?? NaN) - score)).toBeLessThanOrEqual(near);
    if (found[at]?.id === id) continue;
    const other = wanted.find((match) => match.id === found[at]?.id);
    expect(Math.abs((other?.score ?? score) - score), `${id} at ${at}`).toBeLessThanOrEqual(near);
  }
}

for (const [metric, memory] of [
  ["cosine", undefined],
  ["dotproduct", undefined],
  ["euclidean", undefined],
  ["cosine", 1],
] as const) {
  const where = memory === undefined ? "" : ", without room for codes";
  it(`finds by ${metric} what a full comparison finds, while two servers write and one only reads${where}`, async () => {
    const [one, two] = [await start(memory), await start(memory)];
    const next = random(metric.length + (memory ?? 0));
    const hybrid = metric === "dotproduct";
    const spec = { serverless: { cloud: "aws", region: "us-east-1" } };
    await call(one, "/indexes", { name: "kb", dimension, metric, spec });
    const three = await start(memory, true);
    const live = new Map<string, Vector>();

    for (let round = 0; round < 24; round++) {
      const [writer, other] = round % 2 === 0 ? [one, two] : [two, one];
      const reader = round % 3 === 0 ? three : other;
      const vectors = Array.from({ length: 100 }, () =>
        makeVector(`v${Math.round((next() + 1) * 400)}`, next, hybrid),
      );
      await call(writer, "/vectors/upsert", { vectors });
      for (const vector of vectors) live.set(vector.id, vector);
      if (round % 3 === 2) {
        const ids = [...live.keys()].filter(() => next() > 0.7);
        if (ids.length > 0) await call(writer, "/vectors/delete", { ids });
        for (const id of ids) live.delete(id);
      }
      if (round === 12) {
        await call(writer, "/vectors/delete", { filter: { n: { $gt: 2 } } });
        for (const [id, { metadata }] of live) if (metadata.n > 2) live.delete(id);
      }
      const query = makeVector("q", next, hybrid);
      const topK = [1, 7, 60, 10_000][round % 4] ?? 1;
      const body = {
        topK,
        vector: query.values,
        ...(hybrid && round % 2 && { sparseVector: query.sparseValues }),
      };
      const asked = body.sparseVector ? query : { ...query, sparseValues: undefined };
      const question = asked as Vector;
      const { matches } = await call(reader, "/query", body);
      expectSame(matches, expected(metric, live.values(), question, topK));
      const filter = { n: { $in: [0, 1] } };
      const some = [...live.values()].filter(({ metadata }) => [0, 1].includes(metadata.n));
      const filtered = await call(reader, "/query", { ...body, filter });
      expectSame(filtered.matches, expected(metric, some, question, topK));
    }
  });
}

it("finds on a sparse index what shares an index with the query, and nothing else", async () => {
  const server = await start();
  const next = random(5);
  const spec = { serverless: { cloud: "aws", region: "us-east-1" } };
  await call(server, "/indexes", { name: "kb", vector_type: "sparse", spec });
  const vectors = Array.from({ length: 300 }, (_, at) => {
    const { values: _dense, ...vector } = makeVector(`v${at}`, next, true);
    return vector;
  });
  await call(server, "/vectors/upsert", { vectors });
  const sparseVector = { indices: [3, 7], values: [0.5, -2] };
  const query = { id: "q", sparseValues: sparseVector, metadata: { n: 0 } };
  const sharing = vectors.filter((vector) =>
    vector.sparseValues?.indices.some((index) => sparseVector.indices.includes(index)),
  );
  const { matches } = await call(server, "/query", { topK: 1_000, sparseVector });
  expectSame(matches, expected("dotproduct", sharing, query, 1_000));
  expect(sharing.length).toBeLessThan(300);
});
