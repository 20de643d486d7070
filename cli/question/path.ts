import { takes, topicTypes } from "../../core/config/flow.ts";
import type { Pipeline, TransformConnector } from "../../core/config/pipeline.ts";
import { SluiceError } from "../../core/errors.ts";

/** The way of a question through the connectors of some config files. */
export interface QuestionPath {
  /** Where it is asked. */
  readonly topic: string;
  /** Where its answer may come. */
  readonly answers: readonly string[];
  /** Who works on it, in between. */
  readonly connectors: readonly TransformConnector[];
}

const question = "dev.sluice.question.asked";
const answer = "dev.sluice.answer.given";

/**
 * Where questions go in, and where their answers come out: as the connectors say what they take and emit. `topic`: the
 * one to ask, where there are several. Throws `SluiceError` where it cannot be told.
 */
export function questionPath(pipeline: Pipeline, topic?: string): QuestionPath {
  const asked = topic ?? onlyTopic(pipeline);
  const found: TransformConnector[] = [];
  const follow = (from: string): void => {
    for (const one of pipeline.connectors)
      if (one.kind === "transform" && !found.includes(one) && one.from.includes(from)) {
        found.push(one);
        if (!emits(one, answer)) follow(one.to);
      }
  };
  follow(asked);
  const answers = [...new Set(found.filter((one) => emits(one, answer)).map(({ to }) => to))];
  if (answers.length > 0) return { topic: asked, answers, connectors: found };
  throw new SluiceError(
    `ask: nothing that reads ${JSON.stringify(asked)} in these files leads to answers.`,
    {
      code: "cli.no-questions",
      fix: "Give the files of all services on the way, with the one that ends in `llm`.",
    },
  );
}

function onlyTopic(pipeline: Pipeline): string {
  const topics = questionTopics(pipeline);
  const [first] = topics;
  if (first !== undefined && topics.length === 1) return first;
  if (first !== undefined) throw ambiguous("ask", topics);
  throw new SluiceError("ask: no connector of these files takes questions.", {
    code: "cli.no-questions",
    fix: "Give the files of a pipeline with `embed`, `retrieve`, `prompt` and `llm`: see docs/questions.md.",
  });
}

/** Topics that questions enter by: those further on carry what the first stages made of them. */
function questionTopics({ connectors }: Pipeline): readonly string[] {
  const carried = topicTypes(connectors);
  const takers = connectors.filter((one) => one.kind === "transform" && takes(one, question));
  const further = takers.flatMap((one) => (one.kind === "transform" ? [one.to] : []));
  const topics = takers.flatMap((one) => (one.kind === "transform" ? one.from : []));
  return [...new Set(topics)].filter((topic) => {
    const types = carried(topic);
    const mayCarry = types?.some((type) => type === "" || question.startsWith(type)) ?? true;
    return mayCarry && !further.includes(topic);
  });
}

export function ambiguous(command: string, topics: readonly string[]): SluiceError {
  const names = topics.map((one) => JSON.stringify(one)).join(" and ");
  return new SluiceError(`${command}: it may go to ${names}.`, {
    code: "cli.ambiguous-topic",
    fix: `Say which: --topic ${topics[0]}.`,
  });
}

function emits({ transforms }: TransformConnector, type: string): boolean {
  const { emits = [] } = transforms.at(-1)?.transform ?? {};
  return emits.some((prefix) => prefix !== "" && type.startsWith(prefix));
}
