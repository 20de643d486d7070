import { once } from "node:events";
import type { Worker } from "node:worker_threads";
import { PoisonError, type Embedder, type Log } from "sluice";
import { fakes } from "sluice/testing";
import { afterEach, describe, expect, it } from "vitest";
import { embeddedText } from "./embedded-text.ts";
import { describeEmbedding, embeddingConfig, openEmbedder } from "./embedding.ts";
import { openThread } from "./minilm-thread.ts";

const log: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const never = new AbortController().signal;
const context = fakes.context({ config: {} });
const passage = { input: "passage", signal: never } as const;
const opened: Embedder[] = [];

async function open(config: Parameters<typeof openEmbedder>[0]): Promise<Embedder> {
  const embedder = await openEmbedder(config, context);
  opened.push(embedder);
  return embedder;
}

const none = new Float32Array();

function similarity(left: Float32Array = none, right: Float32Array = none): number {
  return left.reduce((sum, value, at) => sum + value * (right[at] ?? NaN), 0);
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((embedder) => embedder.close()));
});

describe("embeddingConfig", () => {
  it("is the local model unless told otherwise", () => {
    expect(embeddingConfig.parse(undefined)).toEqual({ provider: "local" });
  });

  it("gives the hash provider 384 dimensions", () => {
    expect(embeddingConfig.parse({ provider: "hash" })).toEqual({
      provider: "hash",
      dimensions: 384,
    });
  });

  it("refuses unknown providers and options", () => {
    expect(embeddingConfig.safeParse({ provider: "oracle" }).success).toBe(false);
    expect(embeddingConfig.safeParse({ provider: "local", key: "x" }).success).toBe(false);
  });
});

describe.each([
  ["hash", { provider: "hash", dimensions: 384 }],
  ["local", { provider: "local" }],
] as const)("the %s embedder", (_name, config) => {
  it("keeps what its description says", async () => {
    const { fingerprint, dimensions, maxTokens } = await describeEmbedding(config, context);
    const embedder = await open(config);
    expect(embedder).toMatchObject({ fingerprint, dimensions, maxTokens });
    expect(fingerprint).toMatch(/^\S+@\S+\/384\/normalised$/);
  });

  it("gives one normalised vector a text, in order, the same every time", async () => {
    const embedder = await open(config);
    const texts = ["A cat sat on the mat.", "Rates rise again.", "猫 🐈 ネコ"];
    const vectors = await embedder.embed(texts, passage);
    expect(vectors).toHaveLength(3);
    for (const [at, vector] of vectors.entries()) {
      expect(vector).toHaveLength(embedder.dimensions);
      expect(similarity(vector, vector)).toBeCloseTo(1, 5);
      const [again] = await embedder.embed([texts[at] ?? ""], passage);
      expect(again).toEqual(vector);
    }
  });

  it("refuses an empty text", async () => {
    const embedder = await open(config);
    await expect(embedder.embed(["fine", " \n"], passage)).rejects.toMatchObject({
      name: "PoisonError",
      code: "embed.empty",
    });
  });

  it("refuses a text of one token too many and takes the longest that fits", async () => {
    const embedder = await open(config);
    const special = embedder.countTokens("cat") - 1;
    const longest = Array(embedder.maxTokens - special)
      .fill("cat")
      .join(" ");
    expect(embedder.countTokens(longest)).toBe(embedder.maxTokens);
    await expect(embedder.embed([longest], passage)).resolves.toHaveLength(1);
    const refused = embedder.embed([`${longest} cat`], passage);
    await expect(refused).rejects.toBeInstanceOf(PoisonError);
    await expect(refused).rejects.toMatchObject({ code: "embed.too-long" });
  });

  it("embeds nothing for no texts", async () => {
    const embedder = await open(config);
    await expect(embedder.embed([], passage)).resolves.toEqual([]);
  });

  it("refuses more texts than it takes in one call", async () => {
    const embedder = await open(config);
    const texts = Array<string>(embedder.maxTexts + 1).fill("cat");
    await expect(embedder.embed(texts, passage)).rejects.toBeInstanceOf(RangeError);
  });

  it("rejects at once when already aborted", async () => {
    const embedder = await open(config);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(embedder.embed(["cat"], { input: "query", signal })).rejects.toThrow("enough");
  });

  it("may be closed twice", async () => {
    const embedder = await open(config);
    await embedder.close();
    await expect(embedder.close()).resolves.toBeUndefined();
  });
});

describe("the hash embedder", () => {
  it("puts texts near each other that share words and their order", async () => {
    const embedder = await open({ provider: "hash", dimensions: 384 });
    const [text, edited, other] = await embedder.embed(
      ["the quick brown fox jumps", "The quick brown fox leaps", "rates rise again in march"],
      passage,
    );
    expect(similarity(text, edited)).toBeGreaterThan(0.5);
    expect(similarity(text, other)).toBeLessThan(0.3);
  });

  it("embeds a text without any word", async () => {
    const embedder = await open({ provider: "hash", dimensions: 8 });
    await expect(embedder.embed(["!?", "—"], passage)).resolves.toHaveLength(2);
  });
});

describe("the local embedder", () => {
  it("finds meaning where no word is shared", async () => {
    const embedder = await open({ provider: "local" });
    const [question, near, far] = await embedder.embed(
      ["How do I reset my password?", "Recovering a lost login", "The soup needs more salt"],
      passage,
    );
    expect(similarity(question, near)).toBeGreaterThan(similarity(question, far) + 0.3);
  });

  it("keeps the very weights its fingerprint names", async () => {
    const embedder = await open({ provider: "local" });
    const [vector] = await embedder.embed(["The cat sits outside"], passage);
    const expected = [0.139126, 0.002999, 0.046941, 0.039554];
    for (const [at, value] of expected.entries()) expect(vector?.[at]).toBeCloseTo(value, 4);
  });

  // The engine cuts at its limit in silence. That the last word of a text that just fits still counts,
  // and the one after it does not, shows that we and the engine count the same tokens.
  it.each([
    ["words, pieces, accents", "cat unbelievability Çà Ñandú ÉTÉ "],
    ["other scripts, emoji, symbols", "学生たち 한국 👩‍👩‍👧 → ½ "],
    ["endless words, invisible characters", `${"x".repeat(120)} a\u200bb\u0007c\ufeff \u00ad-- `],
  ])("counts tokens as the model does: %s", async (_name, unit) => {
    const { maxTokens, countTokens } = await describeEmbedding({ provider: "local" }, context);
    const thread = openThread(log);
    const special = countTokens("");
    const per = countTokens(unit) - special;
    const fill = (tokens: number) =>
      unit.repeat(Math.floor(tokens / per)) + " cat".repeat(tokens % per);
    const room = maxTokens - special;
    try {
      const [a, b, c, d] = await thread.embed(
        [
          `${fill(room - 1)} dog`,
          `${fill(room - 1)} seven`,
          `${fill(room)} dog`,
          `${fill(room)} seven`,
        ],
        passage,
      );
      expect(countTokens(`${fill(room - 1)} dog`)).toBe(maxTokens);
      expect(a).not.toEqual(b);
      expect(c).toEqual(d);
    } finally {
      await thread.close();
    }
  });

  it("rejects on abort without waiting for the model", async () => {
    const embedder = await open({ provider: "local" });
    await embedder.embed(["warm"], passage);
    const control = new AbortController();
    const texts = Array<string>(embedder.maxTexts).fill("word ".repeat(200));
    const work = embedder.embed(texts, { input: "passage", signal: control.signal });
    const since = performance.now();
    control.abort(new Error("stop"));
    await expect(work).rejects.toThrow("stop");
    expect(performance.now() - since).toBeLessThan(1_000);
    await expect(embedder.embed(["still fine"], passage)).resolves.toHaveLength(1);
  });

  it("answers a question before the passages that came first", async () => {
    const embedder = await open({ provider: "local" });
    const order: string[] = [];
    const texts = Array<string>(6).fill("word ".repeat(60));
    await Promise.all([
      embedder.embed(texts, passage).then(() => order.push("passages")),
      embedder
        .embed(["who?"], { input: "query", signal: never })
        .then(() => order.push("question")),
    ]);
    expect(order).toEqual(["question", "passages"]);
  });

  it("leaves the main thread free", async () => {
    const embedder = await open({ provider: "local" });
    await embedder.embed(["warm"], passage);
    const work = embedder.embed(["word ".repeat(200)], passage);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    await work;
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(5);
  });

  it("is shared: closing one opening leaves the other working", async () => {
    const [first, second] = [await open({ provider: "local" }), await open({ provider: "local" })];
    await first.embed(["cat"], passage);
    await first.close();
    await first.close();
    await expect(second.embed(["dog"], passage)).resolves.toHaveLength(1);
  });

  it("rejects what waits when the last opening closes", async () => {
    const embedder = await open({ provider: "local" });
    const work = embedder.embed(["word ".repeat(200), "cat"], passage);
    const rejected = expect(work).rejects.toMatchObject({ code: "embed.closed" });
    await embedder.close();
    await rejected;
  });

  it("says so when its thread dies, and starts another", async () => {
    const warned: string[] = [];
    const thread = openThread({ ...log, warn: (_fields, message) => warned.push(message) });
    const started = once(process, "worker");
    const lost = thread.embed(["word ".repeat(200)], passage);
    const rejected = expect(lost).rejects.toMatchObject({ code: "embed.thread-died" });
    const [worker]: Worker[] = await started;
    await worker?.terminate();
    await rejected;
    expect(warned).toEqual(["embedding thread died; it starts again"]);
    await expect(thread.embed(["cat"], passage)).resolves.toHaveLength(1);
    await thread.close();
  });
});

describe("embeddedText", () => {
  it("puts the heading path before the text", () => {
    expect(embeddedText({ context: "Guide › Install", text: "Run it." })).toBe(
      "Guide › Install\n\nRun it.",
    );
    expect(embeddedText({ text: "Run it." })).toBe("Run it.");
  });
});
