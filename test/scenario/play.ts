import { setTimeout as sleep } from "node:timers/promises";
import type { AnswerGiven } from "../../core/event.ts";
import type { Origin } from "./origin.ts";

const question = "What is the popular open source event streaming solution?";

export interface Step {
  readonly step: string;
  /** From the question to its answer, milliseconds: the last one asked. */
  readonly answerMs: number;
  /** From the write until an answer shows it, milliseconds. */
  readonly writeToAnswerMs: number;
  readonly answer: string;
  readonly cites: readonly string[];
}

const patienceMs = 90_000;
const document = (solution: string) =>
  `# Event streaming\n\nThe popular open source event streaming solution is ${solution}.\n`;

interface Act {
  readonly step: string;
  readonly change: (origin: Origin) => Promise<void>;
  readonly says: string;
  readonly cites: string;
}

/** The story: an old document answers; a newer one takes over, is edited, and is deleted again. */
const acts: readonly Act[] = [
  {
    step: "the old document answers",
    change: ({ put }) => put("old.md", document("Apache Kafka")),
    says: "Apache Kafka",
    cites: "old.md",
  },
  {
    step: "an ingest flips the answer",
    change: ({ put }) => put("new.md", document("Apache EventMesh")),
    says: "Apache EventMesh",
    cites: "new.md",
  },
  {
    step: "an edit changes it",
    change: ({ put }) => put("new.md", document("Apache EventMesh 2")),
    says: "Apache EventMesh 2",
    cites: "new.md",
  },
  {
    step: "the delete flips it back",
    change: ({ remove }) => remove("new.md"),
    says: "Apache Kafka",
    cites: "old.md",
  },
];

/**
 * Plays every act: changes the origin, and asks until the answer says and cites what it should, and nothing that is
 * gone. Throws when an act is not observed in time. `between` is called after each.
 */
export async function play(
  origin: Origin,
  ask: (text: string) => Promise<AnswerGiven>,
  between: (step: string) => Promise<void>,
): Promise<readonly Step[]> {
  const steps: Step[] = [];
  for (const act of acts) {
    const writtenAt = performance.now();
    await act.change(origin);
    for (;;) {
      const askedAt = performance.now();
      const { data } = await ask(question);
      const now = performance.now();
      const cites = data.citations.map(({ subject }) => subject);
      if (data.isAnswered && isToldBy(act, data.text, cites)) {
        steps.push({
          step: act.step,
          answerMs: Math.round(now - askedAt),
          writeToAnswerMs: Math.round(now - writtenAt),
          answer: data.text,
          cites,
        });
        break;
      }
      if (now - writtenAt > patienceMs)
        throw new Error(
          `${act.step}: not observed in ${patienceMs} ms; it says ${JSON.stringify(data)}`,
        );
      await sleep(50);
    }
    await between(act.step);
  }
  return steps;
}

function isToldBy({ says, cites }: Act, text: string, cited: readonly string[]): boolean {
  const [first = ""] = cited;
  return text.includes(`${says}.`) && first.includes(cites);
}
