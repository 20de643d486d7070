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
  readonly file: string;
  /** What the file then says is the solution; absent: it is deleted. */
  readonly solution?: string;
  readonly says: string;
  readonly cites: string;
}

/** The story: an old document answers; a newer one takes over, is edited, and is deleted again. */
const acts: readonly Act[] = [
  {
    step: "the old document answers",
    file: "old.md",
    solution: "Apache Kafka",
    says: "Apache Kafka",
    cites: "old.md",
  },
  {
    step: "an ingest flips the answer",
    file: "new.md",
    solution: "Apache EventMesh",
    says: "Apache EventMesh",
    cites: "new.md",
  },
  {
    step: "an edit changes it",
    file: "new.md",
    solution: "Apache EventMesh 2",
    says: "Apache EventMesh 2",
    cites: "new.md",
  },
  {
    step: "the delete flips it back",
    file: "new.md",
    says: "Apache Kafka",
    cites: "old.md",
  },
];

/** A document as the origin has it. */
interface Written {
  readonly solution: string;
  /** By the clock, milliseconds. */
  readonly at: number;
}

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
  const there = new Map<string, Written>();
  for (const act of acts) {
    const { file, solution } = act;
    const writtenAt = performance.now();
    if (solution === undefined) {
      there.delete(file);
      await origin.remove(file);
    } else {
      there.set(file, { solution, at: Date.now() });
      await origin.put(file, document(solution));
    }
    for (;;) {
      const askedAt = performance.now();
      const { data } = await ask(question);
      const now = performance.now();
      const cites = data.citations.map(({ subject }) => subject);
      if (data.isAnswered && isToldBy(act, data) && isTrue(data, there)) {
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

function isToldBy({ says, cites }: Act, { text, citations }: AnswerGiven["data"]): boolean {
  const [first] = citations;
  return text.includes(`${says}.`) && first !== undefined && first.subject.includes(cites);
}

/** S3 tells the time of an object by the second. */
const clockMs = 1_000;

/** Whether each citation, not only the first, is of what the origin has now, and is dated as that was written. */
export function isTrue(
  { citations, asOf }: Pick<AnswerGiven["data"], "citations" | "asOf">,
  there: ReadonlyMap<string, Written>,
): boolean {
  return citations.every(({ source, subject, version, position, time, passage }) => {
    const [, written] = [...there].find(([file]) => subject.endsWith(file)) ?? [];
    const newest = asOf?.sources.find((point) => point.source === source);
    return (
      written !== undefined &&
      passage.includes(`is ${written.solution}.`) &&
      position !== undefined &&
      isWithin(time, written.at) &&
      newest !== undefined &&
      newest.version >= version
    );
  });
}

function isWithin(time: string | undefined, from: number): boolean {
  const at = Date.parse(time ?? "");
  return at > from - clockMs && at < Date.now() + clockMs;
}
