import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ask } from "./harness.ts";
import { startLocalPinecone, type LocalPinecone } from "./server.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Fields = { [field: string]: Json };

let dir: string;
let server: LocalPinecone;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  const spec = { serverless: { cloud: "aws", region: "us-east-1" } };
  await call("/indexes", { name: "kb", dimension: 2, spec });
});
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

async function call(path: string, body: object) {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "Api-Key": "any" },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as {
    matches: { id: string }[];
    vectors: Record<string, object>;
    matchedRecords: number;
    message?: string;
  };
  expect(response.ok, `${answer.message} ${JSON.stringify(body)}`).toBe(true);
  return answer;
}

/** The language in a page: what a document is, for a filter. */
function holds(filter: Json, fields: Fields): boolean {
  return Object.entries(filter as Fields).every(([key, value]) => {
    const parts = value as Json[];
    if (key === "$and") return parts.every((part) => holds(part, fields));
    if (key === "$or") return parts.some((part) => holds(part, fields));
    const conditions = isObject(value) ? Object.entries(value) : [["$eq", value] as const];
    const own = Object.hasOwn(fields, key) ? fields[key] : undefined;
    return conditions.every(([operator, operand]) => compare(operator, own, operand));
  });
}

function compare(operator: string, own: Json | undefined, operand: Json): boolean {
  const equals = (wanted: Json) => (Array.isArray(own) ? own.includes(wanted) : own === wanted);
  const numbers = typeof own === "number" && typeof operand === "number";
  switch (operator) {
    case "$eq":
      return equals(operand);
    case "$ne":
      return !equals(operand);
    case "$in":
      return (operand as Json[]).some(equals);
    case "$nin":
      return !(operand as Json[]).some(equals);
    case "$gt":
      return numbers && own > operand;
    case "$gte":
      return numbers && own >= operand;
    case "$lt":
      return numbers && own < operand;
    case "$lte":
      return numbers && own <= operand;
    default:
      return operand === (own !== undefined);
  }
}

function isObject(value: Json): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// Fields and values that are easily mistaken for each other, or for something else.
const fields = ["a", "b", "a.b", "", "__proto__", "constructor", "length", "ü"];
const texts = ["", "1", "true", "x", "X", '["x"]', "null", "\u{1f600}", "a'b\"c"];
const numbers = [0, 1, -1, 1.5, 1e300, -1e-300, 0.1, 2 ** 53, 1e21];
const scalars = [...texts, ...numbers, true, false];

function some<T>(from: readonly T[], most: number): T[] {
  return Array.from({ length: Math.floor(Math.random() * (most + 1)) }, () => one(from));
}

function one<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T; // none of the lists is empty
}

function makeFields(): Fields {
  return Object.fromEntries(
    some(fields, 6).map((field) => [field, Math.random() < 0.3 ? some(texts, 3) : one(scalars)]),
  );
}

function makeFilter(depth: number): Fields {
  const entries = [one(fields), ...some(fields, 1)].map((field): [string, Json] => {
    const kind = Math.random();
    if (depth > 0 && kind < 0.4) {
      const parts = [makeFilter(depth - 1), ...some([0], 2).map(() => makeFilter(depth - 1))];
      return [kind < 0.2 ? "$and" : "$or", parts];
    }
    if (kind < 0.5) return [field, one(scalars)];
    return [field, Object.fromEntries([makeCondition(), ...some([0], 1).map(makeCondition)])];
  });
  return Object.fromEntries(entries);
}

function makeCondition(): [string, Json] {
  const operator = one(["$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists"]);
  if (operator === "$exists") return [operator, one([true, false])];
  if (/^\$(gt|lt)/.test(operator)) return [operator, one(numbers)];
  if (operator.endsWith("in")) return [operator, some<Json>(one([texts, numbers]), 4)];
  return [operator, one(scalars)];
}

it("finds by 600 random filters what the definition of the language finds, by every call", async () => {
  const values = [1, 1];
  for (let round = 0; round < 12; round++) {
    const namespace = `round ${round}`;
    const documents = new Map(
      Array.from({ length: 120 }, (_, at) => [`d${String(at).padStart(3, "0")}`, makeFields()]),
    );
    const vectors = [...documents].map(([id, metadata]) => ({ id, values, metadata }));
    await call("/vectors/upsert", { namespace, vectors });
    for (let at = 0; at < 50; at++) {
      const filter = makeFilter(3);
      const wanted = [...documents].filter(([, own]) => holds(filter, own)).map(([id]) => id);
      const asked = { namespace, filter };
      const found = await call("/query", { ...asked, vector: values, topK: 200 });
      expect(
        found.matches.map(({ id }) => id),
        JSON.stringify(filter),
      ).toEqual(wanted);
      if (at % 5 === 0) {
        const fetched = await call("/vectors/fetch_by_metadata", { ...asked, limit: 200 });
        expect(Object.keys(fetched.vectors).toSorted()).toEqual(wanted);
        const setMetadata = { marked: at };
        const updated = await call("/vectors/update", { ...asked, setMetadata });
        expect(updated.matchedRecords).toBe(wanted.length);
        for (const id of wanted) documents.set(id, { ...documents.get(id), marked: at });
      }
      if (at === 45) {
        await call("/vectors/delete", asked);
        for (const id of wanted) documents.delete(id);
      }
    }
  }
});

it("compares the text of a long filter, and pages by it", async () => {
  const namespace = "pages";
  const vectors = Array.from({ length: 25 }, (_, at) => ({
    id: String(at).padStart(2, "0"),
    values: [1, 1],
    metadata: { n: at },
  }));
  await call("/vectors/upsert", { namespace, vectors });
  const filter = { n: { $nin: Array.from({ length: 9_000 }, (_, at) => at + 20) } };
  const seen: string[] = [];
  let paginationToken: string | undefined;
  do {
    const body = { namespace, filter, limit: 6, ...(paginationToken && { paginationToken }) };
    const page = (await call("/vectors/fetch_by_metadata", body)) as unknown as {
      vectors: object;
      pagination?: { next: string };
    };
    seen.push(...Object.keys(page.vectors));
    paginationToken = page.pagination?.next;
    expect(paginationToken?.length ?? 0).toBeLessThan(300);
  } while (paginationToken !== undefined);
  expect(seen.toSorted()).toEqual(vectors.slice(0, 20).map(({ id }) => id));
});

it("is refused when it is larger than any filter has reason to be", async () => {
  const names = Array.from({ length: 300 }, (_, at) => `field${at}`);
  const deep = (depth: number): Fields => (depth === 0 ? { a: 1 } : { $and: [deep(depth - 1)] });
  for (const [filter, message] of [
    [Object.fromEntries(names.map((name) => [name, 1])), "names 300 fields, more than 256"],
    [deep(40), "nested deeper than 32"],
    [{ a: { $in: Array.from({ length: 10_001 }, (_, at) => at) } }, "has 10001 values"],
    [{ $or: Array.from({ length: 10_001 }, () => ({ a: 1 })) }, "more than 10000 conditions"],
  ] as const) {
    const body = { vector: [1, 1], topK: 1, filter };
    const told = await ask(server.url, "POST", "/query", body);
    expect(told.status).toBe(400);
    expect(told.body?.["message"]).toContain(message);
  }
});
