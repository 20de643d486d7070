import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { freePort } from "../../connectors/sources/http/harness.ts";
import type { AnswerGiven } from "../../core/event.ts";
import { startMinistack, type Ministack } from "../s3-servers.ts";
import { startService, type Service } from "./pipeline.ts";

const names =
  "domain tokenizer chunker vectorizer index questions word-embedding prompt-builder language-model";
const services = names
  .split(" ")
  .map((name) => fileURLToPath(new URL(`../../../examples/genai/${name}.json`, import.meta.url)));
/** One more way for questions to come in, and one more reader of answers. */
const bucket = {
  project: "genai",
  connectors: [
    {
      name: "bucket",
      source: "s3",
      to: "asked",
      config: {
        bucket: "asked",
        endpoint: "${S3_ENDPOINT}",
        region: "us-east-1",
        accessKeyId: "${S3_KEY}",
        secretAccessKey: "${S3_SECRET}",
        everyMs: 500,
      },
    },
    { name: "log", sink: "log", from: "answers", config: { path: "${DIR}/answers.ndjson" } },
  ],
};

const solution = "The popular open source event streaming solution is Apache EventMesh.";
const text = "What is the popular open source event streaming solution?";

let s3: Ministack;
let client: S3Client;
let service: Service;
let door = "";
beforeAll(async () => {
  s3 = await startMinistack();
  const { endpoint, accessKeyId, secretAccessKey } = s3;
  const credentials = { accessKeyId, secretAccessKey };
  client = new S3Client({ endpoint, forcePathStyle: true, region: "us-east-1", credentials });
  await client.send(new CreateBucketCommand({ Bucket: "asked" }));
  const port = String(await freePort());
  door = `http://127.0.0.1:${port}/questions`;
  service = await startService([...services, bucket], {
    GENAI_DOCUMENTS: "${DIR}/notes",
    GENAI_QUESTIONS: "${DIR}/asked",
    GENAI_INDEX: "${DIR}/genai",
    GENAI_PORT: port,
    S3_ENDPOINT: endpoint,
    S3_KEY: accessKeyId,
    S3_SECRET: secretAccessKey,
  });
  await writeFile(join(service.dir, "notes", "streaming.md"), `# Streaming\n\n${solution}\n`);
  await vi.waitUntil(async () => (await service.ask(text)).data.isAnswered, 60_000);
}, 120_000);
afterAll(async () => {
  client.destroy();
  await service.close();
  await s3.stop();
});

const answered = expect.objectContaining({
  isAnswered: true,
  asked: text,
  text: `“${solution}” [1]`,
  citations: [expect.objectContaining({ n: 1, subject: "streaming.md" })],
});

/** The first answer from now on that `isIt`. */
async function nextAnswer(
  isIt: (answer: AnswerGiven) => boolean,
  act: () => Promise<unknown>,
): Promise<AnswerGiven> {
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, AbortSignal.timeout(30_000)]);
  const answers = await service.backend.topics.tap("answers", { signal });
  await act();
  try {
    for await (const event of answers)
      if (event.type === "dev.sluice.answer.given" && isIt(event as AnswerGiven))
        return event as AnswerGiven; // of that type
  } finally {
    over.abort();
  }
  throw new Error("no answer came in 30 s");
}

describe("the services of examples/genai answer a question", () => {
  const post = (headers: Record<string, string>) =>
    fetch(door, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ text }),
    });

  it("by HTTP, on the same request", async () => {
    const response = await post({ prefer: "wait=30" });
    expect(response.status).toBe(200);
    const { type, data } = (await response.json()) as AnswerGiven;
    expect(type).toBe("dev.sluice.answer.given");
    expect(data).toEqual(answered);
  }, 60_000);

  it("by HTTP, as server-sent events: first that it is durable, then the answer", async () => {
    const response = await post({ accept: "text/event-stream" });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const events = (await response.text()).split("\n\n").flatMap((block) => {
      const [, name] = /^event: (.+)$/m.exec(block) ?? [];
      const [, body = ""] = /^data: (.+)$/m.exec(block) ?? [];
      return name === undefined ? [] : [{ name, body: JSON.parse(body) as AnswerGiven }];
    });
    expect(events.map(({ name }) => name)).toEqual(["accepted", "answer"]);
    expect(events[1]?.body.data).toEqual(answered);
    expect(events[1]?.body.data.question).toBe(events[0]?.body.id);
  }, 60_000);

  it("that is dropped into a folder as JSON", async () => {
    const ask = () =>
      writeFile(join(service.dir, "asked", "q.json"), JSON.stringify({ text, topK: 2 }));
    const { data } = await nextAnswer(({ source }) => source.startsWith("/file/"), ask);
    expect(data).toEqual(answered);
  }, 60_000);

  it("that is dropped into a bucket as JSON", async () => {
    const ask = () =>
      client.send(
        new PutObjectCommand({
          Bucket: "asked",
          Key: "today/q.json",
          Body: JSON.stringify({ text, conversation: "ada" }),
          ContentType: "application/json",
        }),
      );
    const { data } = await nextAnswer(({ source }) => source.startsWith("/s3/"), ask);
    expect(data).toEqual(answered);
    expect(data.conversation).toBe("ada");
  }, 60_000);

  it("of 60 people at once, each their own", async () => {
    const all = await Promise.all(
      Array.from({ length: 60 }, async (_, n) => {
        const body = JSON.stringify({ text: `${text} (${n})`, conversation: `c${n % 7}` });
        const headers = { "content-type": "application/json", prefer: "wait=60" };
        const response = await fetch(door, { method: "POST", headers, body });
        return [response.status, ((await response.json()) as AnswerGiven).data?.asked];
      }),
    );
    expect(all).toEqual(all.map((_, n) => [200, `${text} (${n})`]));
  }, 90_000);
});
