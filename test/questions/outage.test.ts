import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { freePort, post } from "../../connectors/sources/http/harness.ts";
import { startLlmServer, type ChatSaid, type LlmServer } from "../llm-server.ts";
import { kb, startService, vectorsOf, type Service } from "./pipeline.ts";

const pipelineOn = (port: number, partitions: number) => ({
  topics: { questions: { partitions } },
  connectors: [
    ...kb.connectors,
    {
      name: "http",
      source: "http",
      to: "questions",
      config: { port, types: ["dev.sluice.question."], answers: "answers", maxWaitSeconds: 60 },
    },
    {
      name: "answer",
      transform: "llm",
      from: ["questions", "answers"],
      to: "answers",
      transforms: [
        { use: "converse" },
        {
          use: "retrieve",
          config: { index: { store: "pinecone", config: kb.index }, minScore: 0.01 },
        },
        { use: "prompt" },
      ],
      config: { provider: "openai", model: "small", url: "${LLM}", timeoutMs: 400 },
      retry: { maxDelayMs: 200 },
    },
  ],
});

let server: LlmServer;
let service: Service;
let url = "";
/** What the model says to a prompt. */
let says: (prompt: string) => ChatSaid = () => ({ text: "In the portal [1]." });

async function start(partitions: number): Promise<void> {
  const port = await freePort();
  url = `http://127.0.0.1:${port}/questions`;
  server = await startLlmServer(({ body }) => says(body.messages.at(-1)?.content ?? ""));
  service = await startService([pipelineOn(port, partitions)], { LLM: server.url });
  await writeFile(join(service.dir, "notes", "mail.txt"), "Expenses are filed in the portal.");
  const held = async () => Object.keys(await vectorsOf(service, "kb")).length;
  await vi.waitUntil(async () => (await held()) === 1, 20_000);
}

afterEach(async () => {
  await service.close();
  await server.close();
});

const asks = (text: string) =>
  post(url, { text }, { "content-type": "application/json", prefer: "wait=50" });
const answered = { status: 200, body: { data: { text: "In the portal [1]." } } };

describe("one question that gets no whole answer", () => {
  it.each([
    ["hang", "hang after a word", "llm.cut"],
    ["is cut", { text: "In the", cutAfter: "words" }, "llm.cut"],
    ["is refused a connection that was made", "reset", "llm.cut"],
    ["makes the server fail", { status: 500, body: { error: "it crashed" } }, "llm.failed"],
  ] as const)(
    "(%s) is given up, its asker told, and those behind it are answered",
    async (_name, said, code) => {
      says = (prompt) => (prompt.includes("poison") ? said : { text: "In the portal [1]." });
      await start(1);
      const bad = asks("Where are poison expenses filed?");
      await vi.waitUntil(() =>
        server.asked.some(({ body }) => JSON.stringify(body).includes("poison")),
      );
      const good = [1, 2, 3].map((n) => asks(`Where are expenses filed, number ${n}?`));
      expect(await Promise.all(good)).toMatchObject([answered, answered, answered]);
      const { status, body } = await bad;
      expect(status).toBe(422);
      expect(body).toMatchObject({
        detail: expect.stringContaining("answer gave the question up"),
      });
      expect(JSON.stringify(body)).not.toMatch(/network/i);
      expect(await service.deadLetters("answer")).toMatchObject([
        { stage: "llm", error: { code }, attempts: expect.any(Number) },
      ]);
      expect(await asks("Where are expenses filed, after all?")).toMatchObject(answered);
    },
    60_000,
  );
});

it("questions that get no whole answer are given up though nothing but them is asked", async () => {
  says = (prompt) =>
    prompt.includes("poison")
      ? { text: "In the", cutAfter: "words" }
      : { text: "In the portal [1]." };
  await start(2);
  const bad = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => asks(`Where is poison ${n} filed?`)));
  expect(bad.map(({ status }) => status)).toEqual(bad.map(() => 422));
  expect(await service.deadLetters("answer")).toHaveLength(bad.length);
  expect(await asks("Where are expenses filed?")).toMatchObject(answered);
}, 60_000);

describe("a model that answers nobody", () => {
  it.each([
    ["hangs", "hang after a word"],
    ["breaks off", "reset"],
    ["fails", { status: 502, body: "bad gateway" }],
  ] as const)(
    "(%s) for long is waited for: no question is given up, though others need no model",
    async (_name, said) => {
      says = () => ({ text: "In the portal [1]." });
      await start(4);
      expect(await asks("Where are expenses filed?")).toMatchObject(answered);
      says = () => said;
      const waiting = [1, 2, 3].map((n) => asks(`Where are expenses filed, number ${n}?`));
      // Nothing is found for this one: where no other is before it, it goes through, and proves nothing of the model.
      let unfound = 0;
      const absurd = Array.from({ length: 40 }, () =>
        asks("Zebra?").then(({ status }) => void (unfound += status === 200 ? 1 : 0)),
      );
      const tried = () =>
        server.asked.filter(({ body }) => JSON.stringify(body).includes("number 1")).length;
      const isLong = () => tried() > 12 && unfound > 0;
      await vi.waitUntil(isLong, { timeout: 40_000, interval: 100 });
      expect(await service.deadLetters("answer")).toEqual([]);
      says = () => ({ text: "In the portal [1]." });
      expect(await Promise.all(waiting)).toMatchObject([answered, answered, answered]);
      await Promise.all(absurd);
      expect(await service.deadLetters("answer")).toEqual([]);
    },
    60_000,
  );
});
