import type { DocumentUpserted, Segment } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { describeEmbedding, embeddingConfig } from "../../_shared/embedders/embedding.ts";
import { chunk } from "../chunk/chunk.ts";
import { oddText, paragraphs, random } from "../chunk/random-document.ts";
import { tokenize } from "./tokenize.ts";

const never = new AbortController().signal;
const hash = { provider: "hash" };

function document(text: string, mediaType = "text/markdown"): DocumentUpserted {
  const { data, ...rest } = fakes.document("a.md", text);
  return { ...rest, data: { ...data, mediaType } };
}

async function through(
  transform: typeof chunk,
  config: object,
  event: DocumentUpserted,
): Promise<DocumentUpserted> {
  const context = fakes.context({ config: transform.config.parse(config) });
  const worker = await transform.open(context);
  const [output] = await worker.apply([event], { signal: never });
  return output as DocumentUpserted;
}

describe("tokenize keeps the contract of a transform", () => {
  const samples = [document("# A\n\nText one."), document("Plain.", "text/plain")];
  const config = { embedding: hash };
  for (const { name, run } of transformConformance({
    transform: tokenize,
    config,
    samples,
    module: new URL("./tokenize.js", import.meta.url),
  }))
    it(name, run);
});

describe.each([
  ["hash", 40],
  ["local", 8],
] as const)("tokenize (%s)", (provider, seeds) => {
  it("counts stretches that do not overlap, each as the model counts it", async () => {
    const { countTokens } = await describeEmbedding(
      embeddingConfig.parse({ provider }),
      fakes.context({ config: {} }),
    );
    const special = countTokens("");
    for (let seed = 1; seed <= seeds; seed++) {
      const text = oddText(seed);
      const { data } = await through(tokenize, { embedding: { provider } }, document(text));
      let end = 0;
      for (const segment of data.segments ?? []) {
        expect(segment.start).toBeGreaterThanOrEqual(end);
        expect(segment.tokens).toBe(countTokens(text.slice(segment.start, segment.end)) - special);
        expect(segment.tokens).toBeLessThanOrEqual(200);
        end = segment.end;
      }
    }
  });

  it.each([
    [{}, {}],
    [{ maxTokens: 40 }, { maxTokens: 40 }],
    [{ maxTokens: 30, context: false }, { maxTokens: 100 }],
    [{}, { maxTokens: 16 }],
  ])("makes no chunk another one: chunk %j, tokenize %j", async (own, theirs) => {
    const embedding = { provider };
    for (let seed = 1; seed <= seeds; seed++) {
      const mediaType = seed % 2 ? "text/markdown" : "text/plain";
      const event = document(oddText(seed), mediaType);
      const without = await through(chunk, { ...own, embedding }, event);
      const tokenized = await through(tokenize, { ...theirs, embedding }, event);
      const { data } = await through(chunk, { ...own, embedding }, tokenized);
      expect(data.chunks).toEqual(without.data.chunks);
      expect(data).not.toHaveProperty("segments");
    }
  });
});

describe("chunk, given segments", () => {
  const text = paragraphs(random(3), 20, 6)
    .map((sentences) => sentences.join(" "))
    .join("\n\n");

  it("takes them at their word when they are of its model, and only then", async () => {
    const plain = document(text, "text/plain");
    const { data } = await through(tokenize, { embedding: hash }, plain);
    const segments = (data.segments ?? []).map((one): Segment => ({ ...one, tokens: 199 }));
    const lied = { ...plain, data: { ...data, segments } };
    const honest = await through(chunk, { embedding: hash }, plain);
    const believed = await through(chunk, { embedding: hash }, lied);
    expect(believed.data.chunks?.length).toBeGreaterThan(honest.data.chunks?.length ?? 0);
    const foreign = { ...lied, data: { ...lied.data, model: "another" } };
    const counted = await through(chunk, { embedding: hash }, foreign);
    expect(counted.data.chunks).toEqual(honest.data.chunks);
  });

  it("makes no chunk that the model would not see whole, whatever they say", async () => {
    const plain = document(text, "text/plain");
    const { data } = await through(tokenize, { embedding: hash }, plain);
    const segments = (data.segments ?? []).map((one): Segment => ({ ...one, tokens: 0 }));
    const { countTokens, maxTokens } = await describeEmbedding(
      embeddingConfig.parse(hash),
      fakes.context({ config: {} }),
    );
    const made = await through(
      chunk,
      { embedding: hash },
      { ...plain, data: { ...data, segments } },
    );
    for (const one of made.data.chunks ?? [])
      expect(countTokens(one.text)).toBeLessThanOrEqual(maxTokens);
  });

  it("is refused more tokens than the model sees", async () => {
    const context = fakes.context({ config: tokenize.config.parse({ maxTokens: 300 }) });
    await expect(tokenize.open(context)).rejects.toMatchObject({ code: "tokenize.max-tokens" });
  });
});
