import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { answered, files, unanswered } from "./corpus.ts";
import { openCorpus, recallOf, type Corpus } from "./measure.ts";

// A part of what `npm run bench -- recall` measures: the whole takes minutes.
const every = 4;
const some = answered.filter((_, at) => at % every === 0);

let corpus: Corpus;
beforeAll(async () => {
  const own = new Set(answered.map(({ file }) => file));
  corpus = await openCorpus(new Map([...files].filter(([name]) => own.has(name))));
}, 120_000);
afterAll(() => corpus.close());

describe("the whole path, as it comes by default", () => {
  it("finds the passage that answers, and cites it or says that it does not know", async () => {
    expect(corpus.chunks).toBe(answered.length);
    const recall = recallOf(await corpus.find(some));
    expect(recall.questions).toBe(25);
    expect(recall.recallAt1).toBeGreaterThanOrEqual(0.8);
    expect(recall.recallAt5).toBeGreaterThanOrEqual(0.9);
    expect(recall.mrr).toBeGreaterThanOrEqual(0.85);
    // Half of these questions share hardly a word with their passage: `extract` quotes nothing then.
    expect(recall.answered).toBeGreaterThanOrEqual(0.5);
    expect(recall.citesRight).toBeGreaterThanOrEqual(0.9);
  }, 120_000);

  it("says of what is not in the data that it is not", async () => {
    const answers = await corpus.ask(unanswered.filter((_, at) => at % every === 0));
    const wrong = answers.filter(({ data }) => data.isAnswered || data.citations.length > 0);
    expect(wrong.length / answers.length).toBeLessThanOrEqual(0.1);
  }, 60_000);
});

describe("the corpus", () => {
  it("is what it says", () => {
    expect(answered).toHaveLength(100);
    expect(new Set(answered.map(({ question }) => question)).size).toBe(100);
    expect(unanswered).toHaveLength(30);
    expect([...files.values()].join("\n").split("\n## ").length - 1).toBeGreaterThanOrEqual(400);
  });
});
