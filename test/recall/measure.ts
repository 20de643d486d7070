import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AnswerGiven, Citation } from "../../core/event.ts";
import { kept, startService, type Service } from "../questions/pipeline.ts";
import type { Pair } from "./corpus.ts";

/** How well the whole path finds and quotes. Rates are of 1. */
export interface Recall {
  readonly questions: number;
  readonly recallAt1: number;
  readonly recallAt5: number;
  /** Mean of 1 / place of the right passage among the five that are looked at; 0 where it is not there. */
  readonly mrr: number;
  /** `extract` answered. */
  readonly answered: number;
  /** Of its answers: the right passage is cited; and it is the only one. NaN where it gave none. */
  readonly citesRight: number;
  readonly citesOnlyRight: number;
}

export interface Found extends Pair {
  /** Place of the right passage, from 1; 0: not among the five that were looked at. */
  readonly place: number;
  readonly answer: AnswerGiven;
}

const together = 8;
const index = { index: "recall", apiKey: "any", url: "${PINECONE}", create: true };
/** Everything as it comes by default: MiniLM, chunks of up to 200 tokens, five passages, `extract`. */
const services = {
  connectors: [
    ...kept(index),
    {
      name: "retrieve",
      transform: "prompt",
      from: "questions",
      to: "prompts",
      transforms: [{ use: "retrieve", config: { index: { store: "pinecone", config: index } } }],
    },
    { name: "llm", transform: "llm", from: "prompts", to: "answers" },
    { name: "log", sink: "log", from: "answers", config: { path: "${DIR}/answers.ndjson" } },
  ],
};

export interface Corpus {
  readonly chunks: number;
  readonly find: (pairs: readonly Pair[]) => Promise<readonly Found[]>;
  readonly ask: (questions: readonly string[]) => Promise<readonly AnswerGiven[]>;
  readonly close: () => Promise<void>;
}

/** Starts a pipeline over files and waits until the index holds them all. */
export async function openCorpus(files: ReadonlyMap<string, string>): Promise<Corpus> {
  const service = await startService([services]);
  try {
    const chunks = await filled(service, files);
    const ask = (questions: readonly string[]) =>
      inTurn(questions, (question) => service.ask(question));
    return {
      chunks,
      ask,
      async find(pairs) {
        const over = new AbortController();
        const prompts = await service.backend.topics.tap("prompts", { signal: over.signal });
        const passages = passagesOf(prompts, pairs.length);
        const answers = await ask(pairs.map(({ question }) => question));
        const found = await passages;
        over.abort();
        return pairs.map((pair, at) => {
          const answer = answers[at];
          if (!answer) throw new Error(`no answer to ${pair.question}`);
          const seen = found.get(answer.data.question) ?? [];
          const place = 1 + seen.findIndex((one) => isRight(pair, one));
          return { ...pair, answer, place };
        });
      },
      close: service.close,
    };
  } catch (error) {
    await service.close();
    throw error;
  }
}

export function recallOf(found: readonly Found[]): Recall {
  const told = found.filter(({ answer }) => answer.data.isAnswered);
  const right = told.filter((one) => one.answer.data.citations.some((c) => isRight(one, c)));
  const only = right.filter(({ answer }) => answer.data.citations.length === 1);
  const seen = found.filter(({ place }) => place > 0);
  return {
    questions: found.length,
    recallAt1: seen.filter(({ place }) => place === 1).length / found.length,
    recallAt5: seen.length / found.length,
    mrr: seen.reduce((sum, { place }) => sum + 1 / place, 0) / found.length,
    answered: told.length / found.length,
    citesRight: right.length / told.length,
    citesOnlyRight: only.length / told.length,
  };
}

function isRight(pair: Pair, { subject, passage }: Citation): boolean {
  return subject === pair.file && passage.includes(pair.passage);
}

async function filled(service: Service, files: ReadonlyMap<string, string>): Promise<number> {
  for (const [name, text] of files) {
    const path = join(service.dir, "notes", name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  const sections = [...files.values()].join("\n").split("\n## ").length - 1;
  const until = performance.now() + 300_000;
  for (let count = 0; count < sections; count = await countOf(service)) {
    if (performance.now() > until)
      throw new Error(`only ${count} of ${sections} passages in 300 s`);
    await sleep(100);
  }
  await service.settle();
  return await countOf(service);
}

async function countOf({ server }: Service): Promise<number> {
  const response = await fetch(`${server.url}/i/recall/describe_index_stats`, {
    method: "POST",
    headers: { "api-key": "any", "content-type": "application/json" },
    body: "{}",
  });
  const { totalVectorCount = 0 } = (await response.json()) as { totalVectorCount?: number };
  return totalVectorCount; // 0 where the index is not made yet
}

/** What was found for each question, by the id it was asked with, read where the prompt is made. */
async function passagesOf(
  prompts: AsyncIterable<{ readonly data?: unknown }>,
  count: number,
): Promise<ReadonlyMap<string, readonly Citation[]>> {
  const found = new Map<string, readonly Citation[]>();
  for await (const event of prompts) {
    const { question = "", passages = [] } = event.data as {
      readonly question?: string;
      readonly passages?: readonly Citation[];
    };
    found.set(question, passages);
    if (found.size === count) break;
  }
  return found;
}

async function inTurn<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += together)
    results.push(...(await Promise.all(items.slice(at, at + together).map(work))));
  return results;
}
