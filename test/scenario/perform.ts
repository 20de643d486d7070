import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { awaitAnswer } from "../../cli/question/await-answer.ts";
import { questionPath } from "../../cli/question/path.ts";
import { catalog } from "../../connectors/registry.ts";
import { startLocalPinecone } from "../../connectors/sinks/pinecone/local/server.ts";
import { openBackend } from "../../core/backend.ts";
import { loadPipeline } from "../../core/config/load.ts";
import type { AnswerGiven, QuestionAsked } from "../../core/event.ts";
import { timedId } from "../../core/timed-id.ts";
import type { RedisServer } from "../redis-server.ts";
import type { S3Server } from "../s3-servers.ts";
import { bucketDomain, fused, processesOf, type Form } from "./forms.ts";
import { openBucket, openFolder } from "./origin.ts";
import { play, type Step } from "./play.ts";

export interface Performance {
  readonly form: Form;
  readonly steps: readonly Step[];
  /** What the index held after the ingest: id → base64 of its numbers, ordered by id. */
  readonly vectors: ReadonlyMap<string, string>;
  readonly problem?: string;
}

const main = fileURLToPath(new URL("../../cli/main.js", import.meta.url));
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const answerWithinMs = 60_000;

/** Starts the processes of a form, plays the story over them, and stops them. */
export async function perform(
  form: Form,
  run: {
    readonly at: number;
    readonly redis: RedisServer | undefined;
    readonly s3: S3Server | undefined;
  },
): Promise<Performance> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-scenario-"));
  const origin =
    form.origin === "s3" && run.s3
      ? await openBucket(run.s3, "genai")
      : await openFolder(join(dir, "documents"));
  const queue = form.queue === "redis" ? `${run.redis?.url}/${run.at}` : `embedded:${dir}/queue`;
  const index = join(dir, "index");
  const env = { ...origin.env, SLUICE_QUEUE: queue, GENAI_INDEX: index };
  const written = { fused: join(dir, "fused.json"), domain: join(dir, "domain.json") };
  await writeFile(written.fused, JSON.stringify(fused));
  await writeFile(written.domain, JSON.stringify(bucketDomain));

  const processes = processesOf(form, written);
  const children = processes.map((files) => start(files, env));
  const pipeline = await loadPipeline(processes.flat(), { env, catalog });
  const backend = await openBackend(pipeline, { log });
  const path = questionPath(pipeline);
  const ask = (text: string): Promise<AnswerGiven> =>
    awaitAnswer(backend, path, asked(text), { timeoutMs: answerWithinMs });

  let steps: readonly Step[] = [];
  let vectors: ReadonlyMap<string, string> = new Map();
  try {
    await untilSubscribed(() => backend.topics.subscribers(path.topic));
    steps = await play(origin, ask, async (step) => {
      if (step === "an edit changes it") vectors = await vectorsIn(index);
    });
    return { form, steps, vectors };
  } catch (error) {
    const told = children.map(({ stderr }) => stderr()).join("");
    return { form, steps, vectors, problem: `${String(error)}\n${told.slice(-2_000)}` };
  } finally {
    await backend.close(1_000);
    await Promise.all(children.map(({ stop }) => stop()));
    await rm(dir, { recursive: true, force: true });
  }
}

function asked(text: string): QuestionAsked {
  const id = `scenario-${timedId()}`;
  return {
    specversion: "1.0",
    id,
    source: "/scenario",
    type: "dev.sluice.question.asked",
    time: new Date().toISOString(),
    correlationid: id,
    partitionkey: id,
    data: { text },
  };
}

function start(files: readonly string[], env: Readonly<Record<string, string>>) {
  const child: ChildProcess = spawn(process.execPath, [main, "start", ...files, "--json"], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr?.on("data", (data: Buffer) => (stderr += data.toString()));
  const ended = once(child, "close");
  return {
    stderr: () => stderr,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

async function untilSubscribed(subscribers: () => Promise<readonly unknown[]>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while ((await subscribers()).length === 0) {
    if (performance.now() > deadline) throw new Error("nobody reads the topic of questions");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** All vectors of the index, read past the services. */
async function vectorsIn(dir: string): Promise<ReadonlyMap<string, string>> {
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir });
  try {
    const get = async (path: string): Promise<unknown> => {
      const headers = { "api-key": "any" };
      return (await fetch(`${server.url}/i/genai/vectors/${path}`, { headers })).json();
    };
    const { vectors: listed } = (await get("list")) as { vectors: readonly { id: string }[] };
    const ids = listed.map(({ id }) => `ids=${encodeURIComponent(id)}`).join("&");
    const { vectors } = (await get(`fetch?${ids}`)) as {
      vectors: Readonly<Record<string, { readonly values: readonly number[] }>>;
    };
    const entries = Object.entries(vectors).map(
      ([id, { values }]) =>
        [id, Buffer.from(new Float32Array(values).buffer).toString("base64")] as const,
    );
    return new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  } finally {
    await server.close();
  }
}
