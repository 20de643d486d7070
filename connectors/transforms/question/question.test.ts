import { upserted, version, type JsonObject, type QuestionAsked } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { describe, expect, it } from "vitest";
import { question } from "./question.ts";

const { signal } = new AbortController();

function file(text: string, after: JsonObject = {}, audience?: string) {
  return upserted({
    source: "/file/asked",
    key: "a.txt",
    subject: "a.txt",
    version: version({ epoch: 1, position: 1n, rank: 1, tail: 0 }),
    time: "2026-01-01T00:00:00Z",
    op: "create",
    after: { uri: "file:///a.txt", mediaType: "text/plain", text, ...after },
    meta: {},
    ...(audience !== undefined && { audience }),
  });
}

async function asked(event: ReturnType<typeof file>): Promise<QuestionAsked["data"] | "skip"> {
  const worker = await question.open(fakes.context({ config: {} }));
  const [output] = await worker.apply([event], { signal });
  if (output === "skip") return output;
  return (output as QuestionAsked).data;
}

describe("question keeps the contract of a transform", () => {
  const samples = [file("What?"), file('{ "text": "And?" }')];
  for (const { name, run } of transformConformance({
    transform: question,
    config: {},
    samples,
    module: new URL("./question.js", import.meta.url),
  }))
    it(name, run);
});

describe("question", () => {
  it("takes a text for what is asked", async () => {
    expect(await asked(file(" What is it?\n"))).toEqual({ text: "What is it?" });
    expect(await asked(file("{ not JSON, is it?"))).toEqual({ text: "{ not JSON, is it?" });
  });

  it("takes JSON for a question with more", async () => {
    const whole = {
      text: "What?",
      conversation: "ada",
      topK: 3,
      filter: { lang: "en" },
      minLsn: 7,
    };
    const text = JSON.stringify(whole);
    expect(await asked(file(text))).toEqual({ ...whole, minLsn: "7" });
    expect(await asked(file(text, { mediaType: "application/json" }))).toMatchObject({ topK: 3 });
  });

  it("takes a row for a question too", async () => {
    const row = fakes.record("1", { id: 1, text: "What?", conversation: null });
    expect(await asked(row)).toEqual({ text: "What?" });
  });

  it("asks nothing for a blank file", async () => {
    expect(await asked(file(" \n"))).toBe("skip");
  });

  it("does not ask again for whoever came late further on; but for itself", async () => {
    expect(await asked(file("What?", {}, "question/llm"))).toBe("skip");
    expect(await asked(file("What?", {}, "question"))).toEqual({ text: "What?" });
  });

  it.each([
    ["no text", file('{ "question": "What?" }'), "text: "],
    ["wrong JSON", file("{ text", { mediaType: "application/json" }), "no JSON"],
    ["a wrong number", file('{ "text": "What?", "topK": 0 }'), "topK: "],
    ["a wrong log position", file('{ "text": "What?", "minLsn": "x" }'), "minLsn: "],
    ["bytes", file("", { text: null, contentBase64: "AAAA" }), "holds no text"],
    ["a book", file("x".repeat(32_001)), "32001 characters"],
  ])("gives up %s, and says why", async (_name, event, why) => {
    await expect(asked(event)).rejects.toMatchObject({
      name: "PoisonError",
      code: "question.invalid",
      message: expect.stringContaining(why),
    });
  });
});
