import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Backend } from "../../core/backend.ts";
import type { AnswerGiven, FeedbackGiven, QuestionAsked } from "../../core/event.ts";

/** Gardens that nobody confuses: each has a document, a question and, later, a correction. */
const gardens =
  "alder birch cedar dogwood elder fir gorse hazel ivy juniper larch maple oak pine quince rowan spruce teak willow yew".split(
    " ",
  );

const questionOf = (garden: string) => `Who is the keeper of the ${garden} garden?`;
const documentOf = (garden: string, keeper: string) =>
  `# The ${garden} garden\n\nThe keeper of the ${garden} garden is ${keeper}.\n`;

export interface Crowd {
  readonly asked: ReadonlyMap<string, string>;
  /** Texts of the files as they were last written, by name. */
  readonly written: ReadonlyMap<string, string>;
  readonly given: readonly FeedbackGiven[];
  /** Corrections as they stand, by garden. */
  readonly corrected: ReadonlyMap<string, string>;
  /** All answers that were ever published, repeats included. */
  readonly answers: () => Promise<readonly AnswerGiven[]>;
  readonly ask: (garden: string) => Promise<string>;
  readonly answerTo: (question: string) => Promise<AnswerGiven>;
  /** Says of the newest answer about a garden that another keeps it. */
  readonly correct: (garden: string) => Promise<void>;
  readonly publish: (events: readonly FeedbackGiven[]) => Promise<void>;
  readonly stop: () => Promise<void>;
}

const pauseMs = 400;
/** Who asks on and on hears no answer: on a slow machine fewer ask. */
const maxUnanswered = 10;
const answerWithinMs = 120_000;

/** People who write files and ask, steadily, and who correct what they are told when asked to. */
export function gather(
  { topics }: Pick<Backend, "topics">,
  { documents, answersFile }: { readonly documents: string; readonly answersFile: string },
): Crowd {
  const asked = new Map<string, string>();
  const written = new Map<string, string>();
  const given: FeedbackGiven[] = [];
  const corrected = new Map<string, string>();
  const read: AnswerGiven[] = [];
  const over = new AbortController();
  let count = 0;

  async function put(topic: string, event: QuestionAsked | FeedbackGiven): Promise<void> {
    await topics.publish(topic, [event], { signal: AbortSignal.timeout(30_000) });
  }

  async function ask(garden: string): Promise<string> {
    const id = `ask-${++count}`;
    asked.set(id, garden);
    await put("questions", {
      specversion: "1.0",
      id,
      source: "/test/crowd",
      type: "dev.sluice.question.asked",
      time: new Date().toISOString(),
      correlationid: id,
      partitionkey: id,
      data: { text: questionOf(garden) },
    });
    return id;
  }

  async function answers(): Promise<readonly AnswerGiven[]> {
    const lines = (await readFile(answersFile, "utf8")).split("\n");
    // The last line may be half written. Lines are only added: those that were read are not read again.
    for (const line of lines.slice(read.length, -1)) read.push(JSON.parse(line) as AnswerGiven);
    return read;
  }

  async function answerTo(question: string): Promise<AnswerGiven> {
    const until = performance.now() + answerWithinMs;
    for (;;) {
      const found = (await answers()).find(({ data }) => data.question === question);
      if (found) return found;
      if (performance.now() > until) throw new Error(`${question} was not answered`);
      await sleep(50);
    }
  }

  async function write(): Promise<void> {
    await mkdir(documents, { recursive: true });
    for (let n = 0; !over.signal.aborted; n++) {
      const garden = gardens[n % gardens.length] ?? "";
      // First a file each, then edits and notes that nobody asks about.
      const isNote = n >= gardens.length && n % 2 === 0;
      const name = isNote ? `note-${n}.md` : `${garden}.md`;
      const text = isNote
        ? `# Note ${n}\n\nRain fell on day ${n}.\n`
        : documentOf(garden, `Ada ${n}`);
      await writeFile(join(documents, name), text);
      written.set(name, text);
      await pause();
    }
  }

  async function wonder(): Promise<void> {
    for (let n = 0; !over.signal.aborted; n++) {
      await ask(gardens[n % gardens.length] ?? "");
      do await pause();
      while (!over.signal.aborted && asked.size - (await answers()).length > maxUnanswered);
    }
  }

  const pause = () => sleep(pauseMs, undefined, { signal: over.signal }).catch(() => undefined);
  const load = appendFile(answersFile, "").then(() => Promise.all([write(), wonder()]));
  load.catch(() => {}); // told by `stop`

  return {
    asked,
    written,
    given,
    corrected,
    answers,
    ask,
    answerTo,
    async correct(garden) {
      const { id } = await answerTo(await ask(garden));
      const comment = `The keeper of the ${garden} garden is Grace ${given.length}.`;
      const event: FeedbackGiven = {
        specversion: "1.0",
        id: `feedback-${given.length}`,
        source: "/test/crowd",
        type: "dev.sluice.feedback.given",
        time: new Date().toISOString(),
        correlationid: id,
        partitionkey: id,
        data: { answer: id, rating: -1, comment },
      };
      await put("feedback", event);
      given.push(event);
      corrected.set(garden, comment);
    },
    publish: async (events) => {
      for (const event of events) await put("feedback", event);
    },
    stop: async () => {
      over.abort();
      await load;
    },
  };
}
