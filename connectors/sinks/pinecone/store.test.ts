import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z, type Log, type Vector, type VectorStore } from "sluice";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pineconeConfig } from "./config.ts";
import { startLocalPinecone, type Fault, type LocalPinecone } from "./local/server.ts";
import { openPineconeStore, type PineconeStoreOptions } from "./store.ts";

let dir: string;
let server: LocalPinecone;
let store: VectorStore;
let metered: Map<string, number>;
/** Faults to come, one a request of the data plane; then none. */
let faults: Fault[];

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const run = { namespace: "ns", signal: new AbortController().signal };
const vector = (id: string, more: Partial<Vector> = {}): Vector => ({
  id,
  values: Float32Array.of(0.1, 0.2),
  metadata: { lang: "en", n: 0 },
  ...more,
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pinecone-"));
  faults = [];
  metered = new Map();
  server = await startLocalPinecone({
    host: "127.0.0.1",
    port: 0,
    dir,
    intercept: ({ path }) => (path.startsWith("/i/") ? faults.shift() : undefined),
  });
  store = await open({ apiKey: "any", url: server.url, create: true });
});
afterEach(async () => {
  await store.close();
  await server.close();
  await rm(dir, { recursive: true });
});

function open(
  config: Partial<z.input<typeof pineconeConfig>>,
  options: Partial<PineconeStoreOptions> = { dimensions: 2 },
): Promise<VectorStore> {
  return openPineconeStore({
    config: pineconeConfig.parse({ index: "kb", timeoutMs: 2_000, ...config }),
    signal: run.signal,
    log: silent,
    meter: (name, value) => void metered.set(name, (metered.get(name) ?? 0) + value),
    ...options,
  });
}

async function idsOf(prefix = ""): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of store.list(prefix, run)) ids.push(...page);
  return ids;
}

describe("the store", () => {
  it("writes, reads, lists, searches and removes", async () => {
    expect(await store.describe(run)).toEqual({ dimensions: 2, metric: "cosine" });
    const first = await store.upsert(
      [vector("a#1"), vector("a#2", { values: Float32Array.of(-1, 3) })],
      run,
    );
    expect(first).toEqual({ lsn: 1n });
    expect(await store.fetch(["a#2", "gone", "a#1"], run)).toEqual([
      vector("a#2", { values: Float32Array.of(-1, 3) }),
      vector("a#1"),
    ]);
    expect(await idsOf("a#")).toEqual(["a#1", "a#2"]);
    const { matches, lsn } = await store.query({ vector: Float32Array.of(1, 2), topK: 1 }, run);
    expect(matches).toEqual([
      { id: "a#1", score: expect.closeTo(1, 6), metadata: { lang: "en", n: 0 } },
    ]);
    expect(lsn).toBe(1n);
    expect(await store.remove(["a#1", "gone"], run)).toEqual({ lsn: 2n });
    expect(await idsOf()).toEqual(["a#2"]);
  });

  it("sends nothing for nothing, and an empty filter as none", async () => {
    const before = server.requests().length;
    expect(await store.upsert([], run)).toEqual({});
    expect(await store.remove([], run)).toEqual({});
    expect(await store.fetch([], run)).toEqual([]);
    expect(server.requests()).toHaveLength(before);
    await store.upsert([vector("a")], run);
    const { matches } = await store.query(
      { vector: Float32Array.of(1, 2), topK: 1, filter: {} },
      run,
    );
    expect(matches).toHaveLength(1);
  });

  it("filters by values that the client takes for empty", async () => {
    await store.upsert([vector("zero"), vector("one", { metadata: { n: 1, flag: false } })], run);
    const found = async (filter: Record<string, never> | object) =>
      (
        await store.query({ vector: Float32Array.of(1, 2), topK: 9, filter: filter as never }, run)
      ).matches.map(({ id }) => id);
    expect(await found({ n: 0 })).toEqual(["zero"]);
    expect(await found({ flag: false })).toEqual(["one"]);
    expect(await found({ $or: [{ n: 0 }, { flag: false }], n: { $gt: 0 } })).toEqual(["one"]);
  });

  it("tells of a bad filter that the query is wrong, not a record", async () => {
    const filter = { x: { $bad: 1 } };
    const asking = store.query({ vector: Float32Array.of(1, 2), topK: 1, filter }, run);
    await expect(asking).rejects.toMatchObject({
      name: "SluiceError",
      code: "pinecone.bad-query",
      message: expect.stringMatching(/refuses the query: .*\$bad/),
      fix: expect.stringContaining("filter"),
    });
  });

  it("keeps metadata under any key", async () => {
    const text = `{"__proto__":"p","a.b":"d","constructor":"c","q\\"":["e"]}`;
    await store.upsert([vector("a", { metadata: JSON.parse(text) as Vector["metadata"] })], run);
    const [fetched] = await store.fetch(["a"], run);
    expect(JSON.stringify(fetched?.metadata)).toBe(text);
  });

  it("lists more than a page in the order of bytes", async () => {
    const ids = Array.from({ length: 230 }, (_, i) => `d#${i}`);
    for (let at = 0; at < ids.length; at += 200)
      await store.upsert(
        ids.slice(at, at + 200).map((id) => vector(id)),
        run,
      );
    expect(await idsOf("d#")).toEqual(ids.toSorted());
  });

  it("splits a fetch of long ids by the bytes of its URL", async () => {
    const ids = Array.from({ length: 400 }, (_, i) => `${"s:t:".repeat(40)}#${i}`);
    for (let at = 0; at < ids.length; at += 200)
      await store.upsert(
        ids.slice(at, at + 200).map((id) => vector(id)),
        run,
      );
    const fetched = await store.fetch(ids, run);
    expect(fetched.map(({ id }) => id)).toEqual(ids);
    const fetches = server.requests().filter(({ path }) => path.includes("/vectors/fetch"));
    expect(fetches.length).toBeGreaterThan(10);
    expect(Math.max(...fetches.map(({ path }) => path.length))).toBeLessThan(6_200);
  });

  it("names the namespaces that hold something", async () => {
    const { signal } = run;
    const names = Array.from({ length: 120 }, (_, n) => `n${String(n).padStart(3, "0")}`);
    for (const namespace of names) await store.upsert([vector("a")], { namespace, signal });
    await store.remove(["a"], { namespace: "n007", signal });
    const found: string[] = [];
    for await (const page of store.namespaces?.({ signal }) ?? []) found.push(...page);
    expect(found).toEqual(names.filter((name) => name !== "n007"));
  });

  it("says to the byte what a vector takes in a request", async () => {
    const vectors = [vector("a"), vector("b", { metadata: { text: 'é😀\n"' } })];
    await store.upsert(vectors, run);
    const sent = server.requests().findLast(({ path }) => path.endsWith("/upsert"))?.bytes ?? 0;
    const empty = Buffer.byteLength('{"namespace":"ns","vectors":[]}');
    const sum = vectors.reduce((bytes, one) => bytes + (store.bytesOf?.(one) ?? 0), 0);
    // A comma less than vectors.
    expect(sent).toBe(empty + sum - 1);
  });

  it("sends the shortest decimals", async () => {
    await store.upsert([vector("a", { metadata: {} })], run);
    const { bytes } = server.requests().at(-1) ?? { bytes: 0 };
    expect(bytes).toBe(
      '{"vectors":[{"id":"a","values":[0.1,0.2],"metadata":{}}],"namespace":"ns"}'.length,
    );
    expect(metered.get("bytes_sent")).toBeGreaterThanOrEqual(bytes);
  });

  for (const [what, bad] of [
    ["NaN", vector("a", { values: Float32Array.of(Number.NaN, 1) })],
    ["zeros", vector("a", { values: Float32Array.of(0, 0) })],
    ["another dimension", vector("a", { values: Float32Array.of(1) })],
    ["a non-ASCII id", vector("ü")],
    ["a long id", vector("x".repeat(513))],
    ["null in metadata", vector("a", { metadata: { x: null } as never })],
    ["large metadata", vector("a", { metadata: { x: "y".repeat(41_000) } })],
  ] as const) {
    it(`refuses ${what} before it is sent`, async () => {
      const before = server.requests().length;
      await expect(store.upsert([vector("ok"), bad], run)).rejects.toMatchObject({
        name: "PoisonError",
        code: "pinecone.invalid",
      });
      expect(server.requests()).toHaveLength(before);
    });
  }
});

describe("a fault that passes", () => {
  const cases: [what: string, fault: Fault][] = [
    ["429", { status: 429 }],
    ["429 with Retry-After in seconds", { status: 429, headers: { "retry-after": "1" } }],
    [
      "429 with Retry-After as a date",
      { status: 429, headers: { "retry-after": new Date(0).toUTCString() } },
    ],
    ["408", { status: 408 }],
    ["503", { status: 503, body: { code: 14, message: "busy" } }],
    ["502 with a page", { status: 502, body: "<html>" }],
    ["a reset before it was applied", "reset-before"],
    ["a reset after it was applied", "reset-after"],
    ["no answer", "hang"],
  ];
  for (const [what, fault] of cases) {
    it(`is retried: ${what}`, async () => {
      faults = [fault];
      const began = performance.now();
      await store.upsert([vector("a")], run);
      expect(await idsOf()).toEqual(["a"]);
      expect(metered.get("requests_retried")).toBe(1);
      if (what.endsWith("seconds")) expect(performance.now() - began).toBeGreaterThan(990);
    });
  }

  it("is left to the runner when it lasts too long to wait for", async () => {
    faults = [{ status: 429, headers: { "retry-after": "3600" } }];
    await expect(store.upsert([vector("a")], run)).rejects.toMatchObject({
      name: "RetryableError",
      reason: "throttled",
      code: "pinecone.throttled",
      retryAfterMs: 3_600_000,
    });
  });

  it("ends at once when the caller stops", async () => {
    faults = ["hang"];
    const stop = new AbortController();
    const written = store.upsert([vector("a")], { namespace: "ns", signal: stop.signal });
    await expect.poll(() => faults).toEqual([]);
    const began = performance.now();
    stop.abort(new Error("stopped"));
    await expect(written).rejects.toThrow("stopped");
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});

describe("a fault that stays", () => {
  for (const [status, expected] of [
    [
      400,
      {
        name: "PoisonError",
        code: "pinecone.invalid",
        message: expect.stringContaining("the reason"),
      },
    ],
    [422, { name: "PoisonError", code: "pinecone.invalid" }],
    [401, { reason: "refused", code: "pinecone.unauthorized", fix: expect.any(String) }],
    [402, { reason: "refused", code: "pinecone.forbidden", fix: expect.any(String) }],
    [403, { reason: "refused", code: "pinecone.forbidden", fix: expect.any(String) }],
    [
      404,
      {
        name: "ConfigError",
        code: "pinecone.index-gone",
        fix: expect.stringContaining("sluice verify SINK --repair"),
      },
    ],
    [418, { reason: "refused", code: "pinecone.unexpected", fix: expect.any(String) }],
  ] as const) {
    it(`is told from others by its status: ${status}`, async () => {
      faults = [{ status, body: { code: 3, message: "the reason" } }];
      await expect(store.upsert([vector("a")], run)).rejects.toMatchObject(expected);
      expect(metered.get("requests_retried")).toBeUndefined();
    });
  }

  it("is success for a delete from a namespace that does not exist, not from a missing index", async () => {
    expect(await store.remove(["a"], { ...run, namespace: "nowhere" })).toEqual({});
    faults = [{ status: 404, body: { code: 5, message: "Index kb not found" } }];
    await expect(store.remove(["a"], run)).rejects.toMatchObject({
      code: "pinecone.index-gone",
    });
  });
});

describe("opening", () => {
  it("fails without an index that may be created", async () => {
    await expect(open({ apiKey: "any", url: server.url, index: "other" })).rejects.toMatchObject({
      code: "pinecone.index-missing",
      reason: "refused",
    });
  });

  it("fails when nothing listens", async () => {
    await server.close();
    const opened = open({ apiKey: "any", url: server.url }, { signal: AbortSignal.timeout(1_000) });
    await expect(opened).rejects.toThrow("timeout");
  });

  it("serves a folder itself, where other stores of the folder see its writes", async () => {
    const local = join(dir, "own");
    const one = await open({ local });
    await one.upsert([vector("a")], run);
    const reader = await open({ local }, { readOnly: true });
    expect(await reader.fetch(["a"], run)).toEqual([vector("a")]);
    await reader.close();
    await one.close();
    await one.close();
  });

  it("creates nothing for a reader", async () => {
    await expect(open({ local: join(dir, "none") }, { readOnly: true })).rejects.toMatchObject({
      code: "pinecone.local-missing",
    });
  });
});

describe("the config", () => {
  it("wants exactly one of apiKey and local", () => {
    const problems = (config: object) =>
      pineconeConfig.safeParse({ index: "kb", ...config }).error?.issues.length ?? 0;
    expect(problems({})).toBe(1);
    expect(problems({ apiKey: "k", local: "d" })).toBe(1);
    expect(problems({ local: "d", url: "http://localhost" })).toBe(1);
    expect(problems({ apiKey: "k" })).toBe(0);
    expect(problems({ local: "d" })).toBe(0);
  });
});
