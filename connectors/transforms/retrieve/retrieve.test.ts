import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { version, type DocumentUpserted, type JsonObject, type QuestionAsked } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { afterAll, describe, expect, it } from "vitest";
import { memoryStore } from "../../_shared/vector-sync/memory-store.ts";
import { question } from "../../_shared/questions/question.test.data.ts";
import { pinecone } from "../../sinks/pinecone/pinecone.ts";
import { startLocalPinecone } from "../../sinks/pinecone/local/server.ts";
import { vectors } from "../../sinks/vectors/vectors.ts";
import { chunk } from "../chunk/chunk.ts";
import { embed } from "../embed/embed.ts";
import { retrieve } from "./retrieve.ts";

const { signal } = new AbortController();
const dimensions = 64;
const embedding = { provider: "hash", dimensions };

// Here, not in a hook: the conformance cases are made before hooks run.
const dir = await mkdtemp(join(tmpdir(), "retrieve-"));
const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir: join(dir, "index") });
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const kb = { index: "kb", apiKey: "any", url: server.url, create: true, embedding };
const index = (config: object = kb) => ({ index: { store: "pinecone", config } });

async function fill(sink: typeof pinecone, config: object, documents: readonly DocumentUpserted[]) {
  const cutting = await chunk.open(fakes.context({ config: chunk.config.parse({ embedding }) }));
  const cut = await cutting.apply(documents, { signal });
  const writer = await sink.open(fakes.context({ config: sink.config.parse(config) }));
  await writer.write(cut as DocumentUpserted[], fakes.writeRun());
  await writer.close();
}

function document(
  subject: string,
  text: string,
  metadata: Record<string, string> = {},
): DocumentUpserted {
  const { data, ...rest } = fakes.document(subject, text);
  return { ...rest, data: { ...data, metadata } };
}

const documents = [
  document("mesh", "EventMesh is an event streaming solution.", { tenant: "acme" }),
  document("ferry", "The ferry leaves from pier nine.", { tenant: "globex" }),
];
await fill(pinecone, kb, documents);
const byTenant = { ...kb, index: "tenants", namespace: "{{ tenant }}" };
await fill(pinecone, byTenant, documents);

async function look(event: QuestionAsked, config: object = index()): Promise<QuestionAsked> {
  const context = fakes.context({ config: retrieve.config.parse(config) });
  const worker = await retrieve.open(context);
  try {
    const [output] = await worker.apply([event], { signal });
    return output as QuestionAsked;
  } finally {
    await worker.close?.();
  }
}
const subjects = ({ data }: QuestionAsked) =>
  data.matches?.map(({ metadata }) => metadata["_subject"]);

describe("retrieve keeps the contract of a transform", () => {
  const samples = [question("event streaming"), question("ferry", { id: "q2" })];
  for (const { name, run } of transformConformance({
    transform: retrieve,
    config: index(),
    samples,
  }))
    it(name, run);
});

describe("retrieve", () => {
  it("finds what fits best, and says as of when", async () => {
    const { data, correlationid } = await look(question("Where does the ferry leave?"));
    expect(data.matches?.[0]).toMatchObject({
      metadata: { _subject: "ferry", text: expect.stringContaining("pier") },
    });
    expect(data.asOf).toEqual({
      lsn: expect.stringMatching(/^\d+$/),
      sources: [expect.objectContaining({ source: documents[0]?.source })],
    });
    expect([data.question, correlationid]).toEqual(["q1", "q1"]);
  });

  it("says how far each source had come in what it found, and nothing of what it found nothing of", async () => {
    const at = (source: string, subject: string, position: bigint, time: string) => {
      const sequence = version({ epoch: 1, position, rank: 1, tail: 0 });
      return { ...document(subject, `The ferry, as ${subject} has it.`), source, sequence, time };
    };
    const own = { ...kb, index: "as-of" };
    const [first, second] = ["2026-02-01T08:00:00.000Z", "2026-02-01T09:00:00.000Z"];
    await fill(pinecone, own, [
      at("/a", "new", 2n ** 63n, second),
      at("/a", "old", 1_000n, first),
      at("/b", "only", 7n, first),
    ]);
    const { data } = await look(question("ferry"), index(own));
    expect(data.asOf?.sources.toSorted((a, b) => (a.source < b.source ? -1 : 1))).toEqual([
      { source: "/a", version: expect.any(String), position: String(2n ** 63n), time: second },
      { source: "/b", version: expect.any(String), position: "7", time: first },
    ]);
    const nothing = await look(question("ferry"), { ...index(own), minScore: 0.99 });
    expect(nothing.data.asOf).toEqual({ lsn: data.asOf?.lsn, sources: [] });
  });

  it("keeps the time of a passage that an edit left as it was: nothing is written for that", async () => {
    const own = { ...kb, index: "edited" };
    const paragraph = "The ferry leaves from pier nine. ".repeat(8);
    const of = (position: bigint, time: string, end: string) => ({
      ...document("ferry", `${paragraph}\n\n${end.repeat(300)}`),
      sequence: version({ epoch: 1, position, rank: 1, tail: 0 }),
      time,
    });
    const [first, second] = ["2026-02-01T08:00:00.000Z", "2026-02-01T09:00:00.000Z"];
    await fill(pinecone, own, [of(1n, first, "Fog. ")]);
    await fill(pinecone, own, [of(2n, second, "Rain. ")]);
    const { data } = await look(question("ferry pier nine", { data: { topK: 1 } }), index(own));
    expect(data.asOf?.sources).toMatchObject([{ position: "1", time: first }]);
    const rain = await look(question("Rain rain", { data: { topK: 1 } }), index(own));
    expect(rain.data.asOf?.sources).toMatchObject([{ position: "2", time: second }]);
  });

  it("finds the same with the vector of `embed`, which looks for what `converse` understood", async () => {
    const worker = await embed.open(
      fakes.context({ config: embed.config.parse({ embedding, input: "query" }) }),
    );
    const asked = question("And from where?", { data: { query: "ferry leaves pier" } });
    const [embedded] = await worker.apply([asked], { signal });
    const found = await look(embedded as QuestionAsked);
    expect(found.data.matches).toEqual((await look(asked)).data.matches);
    expect(subjects(found)?.[0]).toBe("ferry");
  });

  it("gives up a question of another model, which would find noise", async () => {
    const other = { embedding: { provider: "hash", dimensions: 32 }, input: "query" };
    const worker = await embed.open(fakes.context({ config: embed.config.parse(other) }));
    const [embedded] = await worker.apply([question("ferry")], { signal });
    await expect(look(embedded as QuestionAsked)).rejects.toMatchObject({
      name: "PoisonError",
      code: "retrieve.model-mismatch",
    });
    const forged = question("ferry", { data: { vector: "AAAA", model: "hash@1/64/normalised" } });
    await expect(look(forged)).rejects.toMatchObject({ code: "retrieve.model-mismatch" });
  });

  it("stops where the index was filled with another model", async () => {
    const wrong = { provider: "openai", model: "m", dimensions, url: "http://127.0.0.1:1" };
    const asked = question("x", {
      data: { vector: Buffer.alloc(256).toString("base64"), model: "m@openai/64/as-served" },
    });
    await expect(look(asked, { ...index(), embedding: wrong })).rejects.toMatchObject({
      name: "ConfigError",
      code: "vectors.model-mismatch",
    });
  });

  it("looks for as many as asked, and leaves out what hardly fits", async () => {
    expect(subjects(await look(question("the ferry", { data: { topK: 1 } })))).toEqual(["ferry"]);
    const strict = { ...index(), minScore: 0.2 };
    expect(subjects(await look(question("ferry pier nine"), strict))).toEqual(["ferry"]);
    expect(subjects(await look(question("zebra"), { ...index(), minScore: 0.99 }))).toEqual([]);
  });

  it("looks in the namespace that the question's attributes name, and in no other", async () => {
    const tenants = index(byTenant);
    expect(retrieve.config.safeParse(tenants).error?.issues).toMatchObject([
      { path: ["namespace"] },
    ]);
    const config = { ...tenants, namespace: "{{ tenant }}" };
    const of = (tenant: string) => ({ ...question("ferry"), tenant });
    expect(subjects(await look(of("globex"), config))).toEqual(["ferry"]);
    expect(subjects(await look(of("acme"), config))).toEqual(["mesh"]);
    expect(subjects(await look(of("nobody"), config))).toEqual([]);
    await expect(look(question("ferry"), config)).rejects.toMatchObject({ code: "question.lacks" });
    await expect(look(of("ü"), config)).rejects.toMatchObject({ code: "retrieve.bad-namespace" });
    // What is asked does not choose where.
    const sly = question("ferry", { data: { namespace: "globex" } });
    expect(subjects(await look({ ...sly, tenant: "acme" }, config))).toEqual(["mesh"]);
  });

  it("narrows the filter by the question's own, and never widens it", async () => {
    const config = { ...index(), filter: { tenant: { $eq: "{{ tenant }}" } } };
    const of = (tenant: string, filter?: JsonObject) => ({
      ...question("ferry", filter && { data: { filter } }),
      tenant,
    });
    expect(subjects(await look(of("acme"), config))).toEqual(["mesh"]);
    const theirs = { tenant: { $in: ["acme", "globex"] } };
    expect(subjects(await look(of("acme", theirs), config))).toEqual(["mesh"]);
    expect(subjects(await look(of("acme", { tenant: "globex" }), config))).toEqual([]);
    expect(
      subjects(await look(question("ferry", { data: { filter: { tenant: "acme" } } }))),
    ).toEqual(["mesh"]);
    await expect(look(of(" "), config)).rejects.toMatchObject({ code: "retrieve.bad-filter" });
    await expect(look(question("ferry"), config)).rejects.toMatchObject({ code: "question.lacks" });
  });

  it.each([
    [{ topK: 0 }, "retrieve.bad-question"],
    [{ minLsn: "soon" }, "retrieve.bad-question"],
    [{ filter: { $nonsense: 1 } }, "retrieve.bad-question"],
    [{ filter: "tenant" as unknown as JsonObject }, "retrieve.bad-question"],
  ])("gives up what nobody can look for: %j", async (data, code) => {
    await expect(look(question("ferry", { data }))).rejects.toMatchObject({
      name: "PoisonError",
      code,
    });
  });

  it("waits for a log position from when it was asked: many in vain hold up the others no longer than one", async () => {
    const at = (ageMs: number) => new Date(Date.now() - ageMs).toISOString();
    const waiting = (lsn: bigint, time: string, id = "q") => ({
      ...question("ferry", { id, data: { minLsn: String(lsn) } }),
      time,
    });
    const own = { ...kb, index: "positions" };
    await fill(pinecone, own, documents);
    const { data } = await look(question("ferry"), index(own));
    const next = BigInt(data.asOf?.lsn ?? "0") + 1n;
    const visible = look(waiting(next, at(0)), index(own));
    setTimeout(() => void fill(pinecone, own, [document("new", "The ferry is late.")]), 800);
    expect(BigInt((await visible).data.asOf?.lsn ?? "0")).toBeGreaterThanOrEqual(next);

    const context = fakes.context({ config: retrieve.config.parse(index(own)) });
    const worker = await retrieve.open(context);
    const began = performance.now();
    const late = Array.from({ length: 40 }, (_, n) => waiting(1_000_000n, at(30_000), `late ${n}`));
    await expect(worker.apply(late, { signal })).rejects.toMatchObject({
      name: "PartialError",
      message: expect.stringContaining("40 of 40"),
    });
    expect(performance.now() - began).toBeLessThan(15_000);
    await worker.close?.();
  }, 30_000);

  it("waits for an index that its sink has not made yet", async () => {
    for (const missing of [
      { ...kb, index: "later" },
      { index: "kb", local: join(dir, "later"), embedding },
    ])
      await expect(look(question("ferry"), index(missing))).rejects.toMatchObject({
        name: "RetryableError",
        code: "retrieve.no-index",
      });
  });

  it("reads any store that the sink `vectors` keeps", async () => {
    const use = join(dir, "store.mjs");
    Object.assign(globalThis, { retrieveStore: memoryStore({ dimensions }) });
    const core = new URL("../../../core/index.js", import.meta.url).href;
    await writeFile(
      use,
      `import { defineVectorStore, z } from "${core}";
       export const memory = defineVectorStore({ name: "memory", version: "1.0.0", summary: "In memory.",
         config: z.strictObject({}), open: async () => globalThis.retrieveStore });`,
    );
    const own = { store: { use }, embedding };
    await fill(vectors, own, documents);
    const { data } = await look(question("ferry pier"), {
      index: { store: "vectors", config: own },
    });
    expect(data.matches?.[0]?.metadata["_subject"]).toBe("ferry");
  });
});
