import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { upserted } from "sluice";
import { fakes, sinkConformance, type Sample } from "sluice/testing";
import { afterAll, describe, expect, it } from "vitest";
import { startLocalPinecone, type Fault } from "./local/server.ts";
import { pinecone } from "./pinecone.ts";
import { openPineconeStore } from "./store.ts";
import { pineconeConfig } from "./config.ts";

const dir = await mkdtemp(join(tmpdir(), "pinecone-"));
let fault: Fault | undefined;
const intercept = () => fault;
const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir, intercept });
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const embedding = { provider: "hash", dimensions: 64 };
const contextOf = (config: object) =>
  fakes.context({ config: pinecone.config.parse({ embedding, ...config }) });
const remote = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  index: "kb",
  apiKey: "any",
  url: server.url,
  ...more,
});

/** A document of one chunk that no model embeds. */
const poison: Sample = (about) => ({
  ...upserted({ ...about, op: "update", after: {} }),
  type: "dev.sluice.document.upserted",
  data: {
    key: about.key,
    text: " ",
    metadata: {},
    lineage: [],
    chunks: [{ id: "0000000000000000~0", text: " ", start: 0, end: 1 }],
  },
});

describe("the sink", () => {
  const config = remote({ index: "kit", create: true, embedding });
  const module = new URL("./pinecone.js", import.meta.url);
  const met = (trouble: Fault) => ({
    begin: () => void (fault = trouble),
    end: () => void (fault = undefined),
  });
  const [outage, stall] = [met({ status: 503 }), met("hang")];
  const given = { sink: pinecone, config, read, poison, module, outage, stall };
  for (const { name, run } of sinkConformance(given)) it(name, run, 90_000);

  async function read(): Promise<unknown> {
    const { embedding: _, ...own } = config;
    const { signal, log, meter } = contextOf(config);
    const store = await openPineconeStore({
      config: pineconeConfig.parse(own),
      signal,
      log,
      meter,
      readOnly: true,
    });
    const place = { namespace: "__default__", signal };
    const held: unknown[] = [];
    for await (const ids of store.list("", place)) held.push(...(await store.fetch(ids, place)));
    await store.close();
    return held;
  }
});

describe("opening", () => {
  it("refuses an index of another dimension, with a fix", async () => {
    await (await pinecone.open(contextOf(remote({ index: "small", create: true })))).close();
    const other = contextOf(
      remote({ index: "small", embedding: { provider: "hash", dimensions: 32 } }),
    );
    await expect(pinecone.open(other)).rejects.toMatchObject({
      name: "ConfigError",
      code: "vectors.dimensions-mismatch",
      fix: expect.stringContaining("32 dimensions"),
    });
    expect(await pinecone.check?.(other)).toMatchObject([
      { severity: "error", code: "vectors.dimensions-mismatch" },
    ]);
  });

  it("tells at once where it connects to, and once that there is no answer yet", async () => {
    const url = "http://127.0.0.1:1";
    const context = contextOf(remote({ url, timeoutMs: 100 }));
    const aborter = new AbortController();
    const opening = pinecone.open({ ...context, signal: aborter.signal });
    await expect
      .poll(() => context.counters.get("requests_retried{code=pinecone.unreachable}"), {
        timeout: 10_000,
      })
      .toBeGreaterThan(1);
    aborter.abort();
    await expect(opening).rejects.toThrow();
    // As the runner does after a failure.
    await expect(pinecone.open({ ...context, signal: aborter.signal })).rejects.toThrow();
    const told = context.lines.filter(({ level }) => level !== "debug");
    expect(told).toMatchObject([
      { level: "info", message: "connecting", fields: { url, index: "kb" } },
      { level: "warn", fields: { host: "127.0.0.1:1", code: "pinecone.unreachable" } },
    ]);
    expect(told[1]?.fields).toMatchObject({ reason: expect.stringContaining("does not answer") });
  });

  it("gives a reader that searches what the writer wrote, at once", async () => {
    const config = { index: "kb", local: join(dir, "searched") };
    const writer = await pinecone.open(contextOf(config));
    const text = "the quick brown fox";
    await writer.write([document(text)], fakes.writeRun());
    const reader = await pinecone.openReader?.(contextOf(config));
    const { signal } = new AbortController();
    const found = await reader?.search({ text, topK: 1 }, { signal });
    expect(found).toMatchObject({
      matches: [{ score: expect.closeTo(1, 5), metadata: { text } }],
      lsn: 1n,
    });
    expect(await reader?.model()).toEqual(expect.any(String));
    await reader?.close();
    await writer.close();
  });

  it("creates nothing for a reader", async () => {
    const local = join(dir, "absent");
    await expect(pinecone.openReader?.(contextOf({ index: "kb", local }))).rejects.toMatchObject({
      code: "pinecone.local-missing",
    });
    expect(readdirSync(dir)).not.toContain("absent");
  });
});

describe("check", () => {
  const checked = async (config: object) =>
    (await pinecone.check?.(contextOf(config)))?.map(({ severity, code }) => [severity, code]);

  it("tells an index that is ready, one to be created, and one that is missing", async () => {
    await (await pinecone.open(contextOf(remote({ index: "ready", create: true })))).close();
    expect(await checked(remote({ index: "ready" }))).toEqual([["ok", "pinecone.ready"]]);
    expect(await checked(remote({ index: "absent", create: true }))).toEqual([
      ["ok", "pinecone.to-be-created"],
    ]);
    expect(await checked(remote({ index: "absent" }))).toEqual([
      ["error", "pinecone.index-missing"],
    ]);
    expect(await checked({ index: "kb", local: join(dir, "absent") })).toEqual([
      ["ok", "pinecone.to-be-created"],
    ]);
    expect(readdirSync(dir)).not.toContain("absent");
  });

  it("tells a refused key", async () => {
    fault = { status: 401, body: '"Invalid API Key"' };
    expect(await checked(remote())).toEqual([["error", "pinecone.unauthorized"]]);
    fault = undefined;
  });
});

function document(text: string) {
  const source = "/test";
  return {
    specversion: "1.0",
    id: "1~chunk",
    type: "dev.sluice.document.upserted",
    source,
    subject: "1",
    sequence: "00000001000000000000000100000000",
    time: new Date().toISOString(),
    partitionkey: `${source}\n1`,
    data: {
      key: "1",
      text,
      metadata: {},
      lineage: [],
      chunks: [{ id: "0123456789abcdef~0", text, start: 0, end: text.length }],
    },
  } as const;
}
