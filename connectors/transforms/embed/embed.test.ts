import type { DocumentUpserted, QuestionAsked } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { openEmbedder, embeddingConfig } from "../../_shared/embedders/embedding.ts";
import { startService } from "../../_shared/embedders/service.test.data.ts";
import { parseVector } from "../../_shared/vector-sync/float32.ts";
import { question } from "../../_shared/questions/question.test.data.ts";
import { chunk } from "../chunk/chunk.ts";
import { embed } from "./embed.ts";

const never = new AbortController().signal;
const embedding = { provider: "hash", dimensions: 32 };

async function chunked(subject: string, text: string): Promise<DocumentUpserted> {
  const config = chunk.config.parse({ embedding, maxTokens: 16 });
  const worker = await chunk.open(fakes.context({ config }));
  const [output] = await worker.apply([fakes.document(subject, text)], { signal: never });
  return output as DocumentUpserted;
}

const open = (
  config: object,
  state = fakes.state().state,
): { context: ReturnType<typeof fakes.context>; worker: ReturnType<typeof embed.open> } => {
  const context = fakes.context({ config: embed.config.parse({ embedding, ...config }), state });
  return { context, worker: embed.open(context) };
};

const words = "one two three four five six seven eight nine ten eleven twelve";
const samples = [await chunked("a", `${words}. ${words}. ${words}.`), await chunked("b", words)];

describe("embed keeps the contract of a transform", () => {
  for (const { name, run } of transformConformance({
    transform: embed,
    config: { embedding },
    samples,
    module: new URL("./embed.js", import.meta.url),
  }))
    it(`of documents: ${name}`, run);
  for (const { name, run } of transformConformance({
    transform: embed,
    config: { embedding, input: "query" },
    samples: [question("What is one?"), question("And two?", { id: "q2" })],
    module: new URL("./embed.js", import.meta.url),
  }))
    it(`of questions: ${name}`, run);
});

describe("embed, of documents", () => {
  it("gives each chunk the vector that the embedder makes, and names the model", async () => {
    const worker = await open({}).worker;
    const [output] = await worker.apply(samples, { signal: never });
    const { chunks = [], model } = (output as DocumentUpserted).data;
    const embedder = await openEmbedder(
      embeddingConfig.parse(embedding),
      fakes.context({ config: {} }),
    );
    expect(model).toBe(embedder.fingerprint);
    expect(chunks.length).toBeGreaterThan(1);
    const run = { input: "passage", signal: never } as const;
    for (const { vector = "", text, embedKey } of chunks) {
      const [wanted] = await embedder.embed([text], run);
      expect(parseVector(vector, 32)).toEqual(wanted);
      expect(embedKey).toMatch(/^[0-9a-f]{32}$/);
    }
  });

  it("embeds a text once, then it is in the cache; also in another process", async () => {
    const { state } = fakes.state();
    const first = open({}, state);
    await (await first.worker).apply(samples, { signal: never });
    await (await first.worker).apply(samples, { signal: never });
    const embeds = first.context.counters.get("embeds") ?? 0;
    const texts = new Set(samples.flatMap(({ data }) => data.chunks?.map(({ text }) => text)));
    expect(embeds).toBe(texts.size);
    const second = open({}, state);
    await (await second.worker).apply(samples, { signal: never });
    expect(second.context.counters.get("embeds")).toBeUndefined();
    expect(second.context.counters.get("vector_cache_hits")).toBe(texts.size);
    const without = open({ vectorCacheMiB: 0 }, state);
    await (await without.worker).apply(samples, { signal: never });
    expect(without.context.counters.get("embeds")).toBe(texts.size);
  });

  it("keeps the vectors that a document came with, if they are of its model", async () => {
    const [once] = await (await open({}).worker).apply(samples, { signal: never });
    const again = open({});
    const [twice] = await (await again.worker).apply([once as DocumentUpserted], { signal: never });
    expect(twice).toEqual(once);
    expect(again.context.counters.get("embeds")).toBeUndefined();
    const other = open({ embedding: { provider: "hash", dimensions: 16 } });
    const [third] = await (await other.worker).apply([once as DocumentUpserted], { signal: never });
    const { chunks = [], model } = (third as DocumentUpserted).data;
    expect(model).toBe("hash@1/16/normalised");
    for (const { vector = "" } of chunks) expect(parseVector(vector, 16)).toBeDefined();
  });

  it("gives up the document alone whose chunk no model takes", async () => {
    const bad = {
      ...samples[1],
      data: { ...samples[1]?.data, chunks: [{ id: "x~0", text: " ", start: 0, end: 1 }] },
    };
    const worker = await open({}).worker;
    const events = [samples[0], bad] as DocumentUpserted[];
    await expect(worker.apply(events, { signal: never })).rejects.toMatchObject({
      name: "PartialError",
      failures: new Map([[1, expect.objectContaining({ code: "embed.empty" })]]),
    });
    await expect(worker.apply(events.slice(1), { signal: never })).rejects.toMatchObject({
      name: "PoisonError",
      code: "embed.empty",
    });
  });

  it("pays for nothing twice when the service breaks off", async () => {
    let isDown = true;
    const asked: string[] = [];
    const service = await startService(({ body: { input = [] } }) => {
      if (isDown && asked.length >= 2) return { status: 401, body: { error: "no" } };
      asked.push(...input);
      return { body: { data: input.map((_, index) => ({ index, embedding: [1, index + 1] })) } };
    });
    const remote = { provider: "openai", model: "m", url: service.url, dimensions: 2, maxTexts: 1 };
    try {
      const { state } = fakes.state();
      const worker = await open({ embedding: remote }, state).worker;
      await expect(worker.apply(samples, { signal: never })).rejects.toMatchObject({
        code: "embed.unauthorized",
      });
      isDown = false;
      await worker.apply(samples, { signal: never });
      expect(new Set(asked).size).toBe(asked.length);
    } finally {
      await service.close();
    }
  });
});

describe("embed, of questions", () => {
  const ask = async (event: QuestionAsked, config: object = {}) => {
    const worker = await open({ input: "query", ...config }).worker;
    const [output] = await worker.apply([event], { signal: never });
    return output as QuestionAsked;
  };

  it("gives the vector of the text, or of what is to be looked for instead", async () => {
    const one = await ask(question("What is one?"));
    expect(one.data).toMatchObject({ text: "What is one?", model: "hash@1/32/normalised" });
    const rewritten = question("And that?", { data: { query: "What is one?" } });
    expect((await ask(rewritten)).data.vector).toBe(one.data.vector);
    const { worker, context } = open({ input: "query" });
    await (await worker).apply([question("What is one?")], { signal: never });
    expect(context.counters.get("embed_calls")).toBe(1);
  });

  it("notes who asked, for the answer", async () => {
    const { data, correlationid } = await ask(question("What?"));
    expect([data.question, correlationid]).toEqual(["q1", "q1"]);
    const known = question("What?", { data: { question: "q0" } });
    const again = await ask({ ...known, correlationid: "c" });
    expect([again.data.question, again.correlationid]).toEqual(["q0", "c"]);
  });

  it("embeds a question of 20,000 characters whole, in parts", async () => {
    const tail = " zebra umbrella quartz";
    const long = `${"alpha beta gamma delta ".repeat(869)}${tail}`;
    expect(long.length).toBeGreaterThan(20_000);
    const vector = await ask(question(long));
    const without = await ask(question(long.slice(0, -tail.length)));
    expect(parseVector(vector.data.vector ?? "", 32)).toBeDefined();
    // The last words are not cut off.
    expect(vector.data.vector).not.toBe(without.data.vector);
  });

  it("refuses what is no question, one by one", async () => {
    const worker = await open({ input: "query" }).worker;
    const events = [
      question("Fine?"),
      question("  ", { id: "q2" }),
      question("x".repeat(32_001), { id: "q3" }),
    ];
    await expect(worker.apply(events, { signal: never })).rejects.toMatchObject({
      failures: new Map([
        [1, expect.objectContaining({ code: "question.no-text" })],
        [2, expect.objectContaining({ code: "embed.question-too-long" })],
      ]),
    });
  });
});
