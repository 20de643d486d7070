import type { Applicable, MessageEvent, QuestionAsked } from "sluice";
import { fakes, transformConformance } from "sluice/testing";
import { afterEach, describe, expect, it } from "vitest";
import { startLlmServer, type LlmServer } from "../../../test/llm-server.ts";
import { question } from "../../_shared/questions/question.test.data.ts";
import { converse } from "./converse.ts";

const { signal } = new AbortController();

const ask = (id: string, text: string, conversation = "ada") =>
  question(text, { id, data: { conversation } });
const say = (question: string, text: string, more: object = {}): MessageEvent => ({
  specversion: "1.0",
  id: `${question}~llm`,
  source: "/test/asker",
  type: "dev.sluice.answer.given",
  data: {
    question,
    asked: "?",
    conversation: "ada",
    text,
    isAnswered: true,
    citations: [],
    ...more,
  },
});
const forget = (conversation: string): MessageEvent => ({
  specversion: "1.0",
  id: "f1",
  source: "/test/asker",
  type: "dev.sluice.conversation.forgotten",
  data: { conversation },
});

async function open(config: object = {}, place = fakes.state()) {
  const context = fakes.context({ config: converse.config.parse(config), state: place.state });
  const worker = await converse.open(context);
  const through = async (...events: readonly Applicable[]) => {
    const outputs = await worker.apply(events, { signal });
    return outputs.map((output) => (output as QuestionAsked | null)?.data ?? null);
  };
  const held = async () => {
    const entries: unknown[] = [];
    for await (const page of place.state.scan("")) entries.push(...page.map(({ value }) => value));
    return entries;
  };
  return { through, held, place };
}

describe("converse keeps the contract of a transform", () => {
  const samples = [ask("q1", "What is EventMesh?"), question("And that?", { id: "q2" })];
  for (const { name, run } of transformConformance({
    transform: converse,
    config: {},
    samples,
    module: new URL("./converse.js", import.meta.url),
  }))
    it(name, run);
});

describe("converse", () => {
  it("gives a question what was said before it, and what to look for", async () => {
    const { through } = await open();
    const [first] = await through(ask("q1", "What is the licence of EventMesh?"));
    expect(first).toMatchObject({ text: "What is the licence of EventMesh?", question: "q1" });
    expect(first).not.toHaveProperty("history");
    expect(await through(say("q1", "Apache 2.0 [1]."))).toEqual([null]);
    const [second] = await through(ask("q2", "Who wrote it?"));
    expect(second).toMatchObject({
      text: "Who wrote it?",
      history: [{ question: "What is the licence of EventMesh?", answer: "Apache 2.0 [1]." }],
      query: "What is the licence of EventMesh?\nWho wrote it?",
    });
    await through(say("q2", "Many."));
    // Back to the one that stands alone, not only to the one before.
    const [third] = await through(ask("q3", "And when?"));
    expect(third?.query).toBe("What is the licence of EventMesh?\nWho wrote it?\nAnd when?");
    const [other] = await through(ask("q4", "Where does the ferry to Hamburg leave on Sundays?"));
    expect(other?.history).toHaveLength(2);
    expect(other).not.toHaveProperty("query");
  });

  it("takes a question and its answer once, however often they come, and whoever asked", async () => {
    const { through, held } = await open();
    const events = [ask("q1", "What is EventMesh?"), say("q1", "A broker.")];
    await through(...events, ...events);
    const [again] = await through(ask("q1", "What is EventMesh?"));
    expect(again).not.toHaveProperty("history");
    expect(await held()).toEqual([
      [{ id: "q1", question: "What is EventMesh?", answer: "A broker." }],
    ]);
  });

  it("knows a question by who asked it, whatever stages it went through", async () => {
    const { through } = await open();
    const staged = { ...ask("q1~filter", "What is EventMesh?") };
    await through({ ...staged, data: { ...staged.data, question: "q1" } }, say("q1", "A broker."));
    const [next] = await through(ask("q2", "Who wrote it?"));
    expect(next?.history).toHaveLength(1);
  });

  it("keeps conversations apart, in all processes", async () => {
    const place = fakes.state();
    const [one, other] = [await open({}, place), await open({}, place)];
    await Promise.all([
      one.through(ask("q1", "What is EventMesh?")),
      other.through(ask("q2", "What is Kafka?", "bob")),
      other.through(ask("q3", "What is Pulsar?")),
    ]);
    await Promise.all([
      one.through(say("q1", "A.")),
      other.through(say("q3", "P.")),
      one.through(say("q2", "K.", { conversation: "bob" })),
    ]);
    const [ada] = await one.through(ask("q4", "And?"));
    expect(ada?.history?.map(({ answer }) => answer).toSorted()).toEqual(["A.", "P."]);
    const [bob] = await one.through(ask("q5", "And?", "bob"));
    expect(bob?.history).toEqual([{ question: "What is Kafka?", answer: "K." }]);
    const [nobody] = await one.through(question("And?", { id: "q6" }));
    expect(nobody).not.toHaveProperty("history");
  });

  it("is bounded in turns, in characters and in time", async () => {
    const { through, held, place } = await open({ maxTurns: 3, maxCharacters: 200, days: 1 });
    for (let n = 1; n <= 10; n++)
      await through(ask(`q${n}`, `Question ${n}?`), say(`q${n}`, "Yes."));
    const [short] = (await held()) as [readonly { id: string }[]];
    expect(short.map(({ id }) => id)).toEqual(["q8", "q9", "q10"]);
    await through(ask("q11", "w".repeat(5_000)), say("q11", "x".repeat(5_000)));
    const [long] = (await held()) as [readonly { question: string; answer: string }[]];
    expect(long).toHaveLength(1);
    expect((long[0]?.question.length ?? 0) + (long[0]?.answer.length ?? 0)).toBeLessThanOrEqual(
      200,
    );
    place.advance(25 * 3_600_000);
    const [late] = await through(ask("q12", "And?"));
    expect(late).not.toHaveProperty("history");
  });

  it("forgets on request; what comes late to a forgotten question stays forgotten", async () => {
    const { through, held } = await open();
    await through(ask("q1", "What is EventMesh?"), say("q1", "A."), ask("q2", "And?"));
    expect(await through(forget("ada"))).toEqual([null]);
    await through(say("q2", "A secret."));
    expect(await held()).toEqual([]);
    await through(forget("nobody"));
  });

  it("has no name of a conversation in the keys of its state", async () => {
    const { through, place } = await open();
    await through(ask("q1", "What?", "ada@example.com\n".repeat(20)));
    for await (const page of place.state.scan(""))
      for (const { key } of page) expect(key).toMatch(/^c\/[0-9a-f]{32}$/);
  });

  it("gives up what says nothing, and goes on", async () => {
    const bad: MessageEvent = { ...say("q1", "A."), data: { text: 1 } };
    const { through } = await open();
    await expect(through(ask("q1", "What?"), bad)).rejects.toMatchObject({
      failures: new Map([[1, expect.objectContaining({ code: "converse.invalid" })]]),
    });
  });
});

describe("converse, with a model", () => {
  let server: LlmServer | undefined;
  afterEach(async () => {
    await server?.close();
  });

  it("has follow-up questions rewritten, and only those", async () => {
    server = await startLlmServer(() => ({ text: "Who wrote EventMesh?" }));
    const { through } = await open({ rewrite: { model: "small", url: server.url } });
    await through(ask("q1", "What is the licence of EventMesh?"), say("q1", "Apache 2.0."));
    const [second] = await through(ask("q2", "Who wrote it?"));
    expect(second).toMatchObject({ text: "Who wrote it?", query: "Who wrote EventMesh?" });
    const [third] = await through(ask("q3", "Where does the ferry to Hamburg leave on Sundays?"));
    expect(third).not.toHaveProperty("query");
    expect(server.asked).toHaveLength(1);
    expect(JSON.stringify(server.asked[0]?.body)).toContain("Apache 2.0.");
  });

  it("waits for the model when it does not answer, and takes the question itself for a tale", async () => {
    let isDown = true;
    server = await startLlmServer(() =>
      isDown ? { status: 503, body: "no" } : { text: "Once upon a time. ".repeat(200) },
    );
    const { through } = await open({ rewrite: { model: "small", url: server.url } });
    await through(ask("q1", "What is EventMesh?"), say("q1", "A broker."));
    await expect(through(ask("q2", "Who wrote it?"))).rejects.toMatchObject({
      code: "llm.unreachable",
    });
    isDown = false;
    expect(await through(ask("q2", "Who wrote it?"))).toMatchObject([{ query: "Who wrote it?" }]);
  });
});
