import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  startLocalPinecone,
  type LocalPinecone,
} from "../../connectors/sinks/pinecone/local/server.ts";
import { catalog } from "../../connectors/registry.ts";
import { awaitAnswer } from "../../cli/question/await-answer.ts";
import { questionPath } from "../../cli/question/path.ts";
import { openBackend, type Backend } from "../../core/backend.ts";
import { loadPipeline } from "../../core/config/load.ts";
import type { AnswerGiven, QuestionAsked } from "../../core/event.ts";
import type { DeadLetter } from "../../core/queue/queue.ts";
import { startPipeline, type Running } from "../../core/runtime/runner.ts";
import { timedId } from "../../core/timed-id.ts";

/** A pipeline at work, written as config files, over an embedded queue and a Pinecone-compatible server of its own. */
export interface Service {
  readonly dir: string;
  readonly server: LocalPinecone;
  readonly backend: Backend;
  readonly running: Running;
  readonly deadLetters: (connector: string) => Promise<readonly DeadLetter[]>;
  readonly counted: (connector: string, name: string) => Promise<number>;
  /** Asks as `sluice ask` does. */
  readonly ask: (text: string, data?: Partial<QuestionAsked["data"]>) => Promise<AnswerGiven>;
  /** Resolves when nothing waits in any topic. */
  readonly settle: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const embedding = { provider: "hash", dimensions: 256 };
const index = { index: "kb", apiKey: "any", url: "${PINECONE}", create: true, embedding };

/** The connectors that keep an index equal to the folder `notes`: by what a pipeline says besides of its sink. */
export const kept = (config: object) => [
  { name: "notes", source: "file", to: "files", config: { path: "${DIR}/notes" } },
  {
    name: "search",
    sink: "pinecone",
    from: "files",
    transforms: [{ use: "parse" }, { use: "chunk" }],
    config,
  },
];

/** An index `kb` of hashed words, and what keeps it. */
export const kb = { embedding, index, connectors: kept(index) };

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/**
 * `${PINECONE}` in the files is the server's address, `${DIR}` a folder of the pipeline's own with `notes` and `asked` in
 * it; `more` are further such names. A file that is named is taken as it is.
 */
export async function startService(
  files: readonly (object | string)[],
  more: Readonly<Record<string, string>> = {},
): Promise<Service> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-questions-"));
  const server = await startLocalPinecone({ host: "127.0.0.1", port: 0, dir: join(dir, "index") });
  for (const name of ["notes", "asked"]) await mkdir(join(dir, name));
  const paths = await Promise.all(
    files.map(async (file, at) => {
      if (typeof file === "string") return file;
      const path = join(dir, `${at}.json`);
      await writeFile(path, JSON.stringify(file));
      return path;
    }),
  );
  const own = { PINECONE: server.url, DIR: dir };
  const expand = (text: string) => text.replace("${DIR}", dir);
  const others = Object.entries(more).map(([name, text]) => [name, expand(text)]);
  const env = { ...own, ...Object.fromEntries(others) };
  const pipeline = await loadPipeline(paths, {
    env,
    catalog,
    queue: `embedded:${join(dir, "queue")}`,
  });
  const running = await startPipeline(pipeline, {
    log: silent,
    admin: { host: "127.0.0.1", port: 0 },
  });
  const backend = await openBackend(pipeline, { log: silent });
  return {
    dir,
    server,
    backend,
    running,
    async deadLetters(connector) {
      const found: DeadLetter[] = [];
      for await (const page of backend.deadLetters.list(connector)) found.push(...page);
      return found;
    },
    async counted(connector, name) {
      const { connectors } = await running.status();
      return connectors.find((one) => one.name === connector)?.counters[name] ?? 0;
    },
    ask: (text, data) => {
      const id = `ask-${timedId()}`;
      const question: QuestionAsked = {
        specversion: "1.0",
        id,
        source: "/test",
        type: "dev.sluice.question.asked",
        time: new Date().toISOString(),
        correlationid: id,
        partitionkey: data?.conversation ?? id,
        data: { text, ...data },
      };
      return awaitAnswer(backend, questionPath(pipeline), question, { timeoutMs: 40_000 });
    },
    async settle() {
      const until = performance.now() + 30_000;
      // Twice in a row: what was handled may be on its way to the next topic.
      for (let quiet = 0; quiet < 3;) {
        const waiting = (await backend.topics.subscriptions()).map((one) => one.waiting);
        quiet = waiting.every((count) => count === 0) ? quiet + 1 : 0;
        if (performance.now() > until) throw new Error(JSON.stringify(await running.status()));
        await sleep(30);
      }
    },
    async close() {
      await running.stop(2_000);
      await backend.close(1_000);
      await server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The vectors of an index as the server holds them, by id. */
export async function vectorsOf(
  { server }: Pick<Service, "server">,
  index: string,
): Promise<Readonly<Record<string, { readonly values: readonly number[] }>>> {
  const get = async (path: string): Promise<unknown> =>
    (
      await fetch(`${server.url}/i/${index}/vectors/${path}`, { headers: { "api-key": "any" } })
    ).json();
  const { vectors = [] } = (await get("list")) as { vectors?: readonly { id: string }[] };
  if (vectors.length === 0) return {};
  const ids = vectors.map(({ id }) => `ids=${encodeURIComponent(id)}`).join("&");
  return ((await get(`fetch?${ids}`)) as { vectors: ReturnType<typeof vectorsOf> }).vectors;
}
