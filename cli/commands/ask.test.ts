import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, startCli, until, type Cli } from "../run.test.data.ts";

const core = new URL("../../core/index.js", import.meta.url).href;
const embedding = { provider: "hash", dimensions: 128 };
const index = { index: "kb", local: "pinecone", embedding };
const retrieve = { use: "retrieve", config: { index: { store: "pinecone", config: index } } };
/** The whole way of a question in one connector, which listens to its own answers. */
const answering = {
  name: "answer",
  transform: "llm",
  from: ["questions", "answers"],
  to: "answers",
  transforms: [{ use: "converse" }, retrieve, { use: "prompt" }],
};
const pipeline = {
  project: "asking",
  connectors: [
    { name: "notes", source: "file", to: "files", config: { path: "notes", rescanMs: 1_000 } },
    {
      name: "search",
      sink: "pinecone",
      from: "files",
      transforms: [{ use: "parse" }, { use: "chunk" }],
      config: index,
    },
    answering,
    { name: "opinions", sink: "./opinions.mjs", from: "feedback", config: {} },
  ],
};
const opinions = `
  import { appendFileSync } from "node:fs";
  import { defineSink, z } from "${core}";
  export const opinions = defineSink({
    name: "opinions", version: "1.0.0", summary: "Keeps feedback.", config: z.strictObject({}),
    accepts: ["dev.sluice.feedback."],
    open: async () => ({
      write: async (events) => { for (const event of events) appendFileSync("opinions.ndjson", JSON.stringify(event) + "\\n"); },
      close: async () => {},
    }),
  });`;

const dir = mkdtempSync(join(tmpdir(), "sluice-ask-"));
let running: Cli | undefined;
beforeAll(() => {
  mkdirSync(join(dir, "notes"));
  writeFileSync(
    join(dir, "notes", "mesh.md"),
    "Apache EventMesh is a popular open source event streaming solution. Its licence is Apache 2.0.",
  );
  writeFileSync(join(dir, "opinions.mjs"), opinions);
  writeFileSync(join(dir, "sluice.json"), JSON.stringify(pipeline));
});
afterAll(async () => {
  running?.signal("SIGTERM");
  await running?.ended;
  rmSync(dir, { recursive: true, force: true });
});

interface Answer {
  readonly code: number | null;
  // oxlint-disable-next-line typescript/no-explicit-any -- what a command answers, looked at by path
  readonly result?: any;
  readonly error?: { readonly code: string; readonly message: string; readonly fix: string };
}

async function json(...args: readonly string[]): Promise<Answer> {
  const { code, stdout } = await runCli(dir, [...args, "--json"]);
  return { ...(JSON.parse(stdout) as Omit<Answer, "code">), code };
}
const question = "What is the popular open source event streaming solution?";

describe("ask and feedback", () => {
  it("say what to do where nothing runs", async () => {
    const { code, error } = await json("ask", question);
    expect([code, error?.code]).toEqual([1, "cli.no-answer"]);
    expect(error?.fix).toContain("sluice start");
    expect((await json("feedback", "a~llm", "up")).error?.code).toBe("cli.no-consumer");
  });

  it("are answered by a pipeline that listens to its own answers", async () => {
    running = startCli(dir, ["start", "--json"]);
    let last: Answer | undefined;
    await until(
      async () => {
        last = await json("ask", question, "--conversation", "ada", "--timeout", "5");
        return last.result?.data.isAnswered === true;
      },
      () => `${JSON.stringify(last)} ${running?.stderr()}`,
    );
    const { code, result } = last ?? {};
    expect(code).toBe(0);
    expect(result).toMatchObject({
      type: "dev.sluice.answer.given",
      source: "/sluice/ask",
      correlationid: result.data.question,
      data: { asked: question, conversation: "ada", citations: [{ n: 1, subject: "mesh.md" }] },
    });
    expect(result.data.text).toContain("EventMesh");
  }, 60_000);

  it("print an answer with its citations, for a person", async () => {
    const { code, stdout } = await runCli(dir, ["ask", question, "--top", "1"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /“Apache EventMesh is [^]*” \[1\]\n\n\[1\] \/file\/notes mesh\.md 0\.\d+\n {4}Apache.*\n {4}as of 2\S+Z, position \d+\n/,
    );
    expect(stdout).toMatch(/\n\n\/file\/notes as of 2\S+Z, position \d+\nextract@1, index at \d+;/);
    expect(stdout).toMatch(/answer ask-\S+~llm\n$/);
  });

  it("understand a follow-up question, until the conversation is forgotten", async () => {
    const second = await json("ask", "And its licence?", "--conversation", "ada");
    expect(second.result?.data.text).toContain("Apache 2.0");
    const forgotten = await json("ask", "--forget", "ada");
    expect(forgotten.result).toEqual({ forgotten: "ada", by: ["answer"] });
    await until(
      async () => {
        const { result } = await json("ask", "And why?", "--conversation", "ada");
        return result?.data.isAnswered === false;
      },
      () => running?.stderr() ?? "",
    );
  }, 60_000);

  it("bring an opinion to whoever wants it", async () => {
    const { code, result } = await json("feedback", "ask-1~llm", "down", "--text", "It is Kafka.");
    expect([code, result?.topic]).toEqual([0, "feedback"]);
    const file = join(dir, "opinions.ndjson");
    const read = () => {
      try {
        return readFileSync(file, "utf8");
      } catch {
        return ""; // not written yet
      }
    };
    await until(
      () => read() !== "",
      () => running?.stderr() ?? "",
    );
    expect(JSON.parse(read())).toMatchObject({
      type: "dev.sluice.feedback.given",
      correlationid: "ask-1",
      data: { answer: "ask-1~llm", rating: -1, comment: "It is Kafka." },
    });
  });

  it("tell a question that was given up, with the reason, before its time is over", async () => {
    const began = performance.now();
    const { code, error } = await json(
      "ask",
      question,
      "--filter",
      '{"$nonsense":1}',
      "--timeout",
      "60",
    );
    expect([code, error?.code]).toEqual([1, "cli.no-answer"]);
    expect(error?.message).toContain("answer gave the question up");
    expect(performance.now() - began).toBeLessThan(20_000);
  }, 30_000);

  it.each([
    [["ask"], "cli.usage"],
    [["ask", " "], "cli.usage"],
    [["ask", question, "--min-lsn", "x"], "cli.usage"],
    [["ask", question, "--attribute", "id=1"], "cli.usage"],
    [["ask", question, "--topic", "files"], "cli.no-questions"],
    [["feedback", "a", "sideways"], "cli.usage"],
    [["feedback", "a", "up", "--topic", "nowhere"], "cli.no-feedback"],
  ])("refuse %j", async (args, code) => {
    const answer = await json(...args);
    expect([answer.code, answer.error?.code]).toEqual([2, code]);
  });

  it("name the topics where there are several", async () => {
    const twice = [
      answering,
      { ...answering, name: "other", from: ["more", "replies"], to: "replies" },
    ];
    writeFileSync(join(dir, "two.json"), JSON.stringify({ project: "two", connectors: twice }));
    const { code, error } = await json("ask", question, "--config", "two.json");
    expect([code, error?.code]).toEqual([2, "cli.ambiguous-topic"]);
    expect(error?.message).toContain('"questions" and "more"');
  });

  it("say who failed, and why", async () => {
    const broken = `
      import { ConfigError, defineTransform, z } from "${core}";
      export const broken = defineTransform({
        name: "broken", version: "1.0.0", summary: "Cannot open.", config: z.strictObject({}),
        accepts: ["dev.sluice.question."], emits: ["dev.sluice.answer."],
        open: async () => { throw new ConfigError("broken: it has no key.", { code: "broken.key", fix: "Give it one." }); },
      });`;
    writeFileSync(join(dir, "broken.mjs"), broken);
    const connectors = [
      { name: "oracle", transform: "./broken.mjs", from: "q", to: "a" },
      // With nothing left that works, the process would end.
      { name: "opinions", sink: "./opinions.mjs", from: "feedback", config: {} },
    ];
    const topics = { a: { optional: true } };
    const config = { project: "broken", queue: "embedded:broken", topics, connectors };
    writeFileSync(join(dir, "broken.json"), JSON.stringify(config));
    const started = startCli(dir, ["start", "broken.json", "--json"]);
    try {
      await until(
        () => started.stderr().includes("transform failed"),
        () => started.stderr(),
      );
      const args = ["ask", question, "--config", "broken.json", "--timeout", "1"];
      const { code, error } = await json(...args);
      expect([code, error?.code]).toEqual([1, "cli.no-answer"]);
      expect(error?.message).toBe("ask: no answer in 1 s: oracle failed: broken: it has no key.");
      expect(error?.fix).toBe("Give it one.");
    } finally {
      started.signal("SIGTERM");
      await started.ended;
    }
  }, 30_000);

  it("say who does not run, when nobody answers any more", async () => {
    running?.signal("SIGTERM");
    await running?.ended;
    running = undefined;
    const { code, error } = await json("ask", question, "--timeout", "1");
    expect([code, error?.code]).toEqual([1, "cli.no-answer"]);
    expect(error?.message).toContain("no process runs answer");
  }, 30_000);
});
