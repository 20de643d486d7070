import { InvalidArgumentError, type Command } from "commander";
import type { Backend } from "../../core/backend.ts";
import { takes } from "../../core/config/flow.ts";
import type { Pipeline } from "../../core/config/pipeline.ts";
import { SluiceError } from "../../core/errors.ts";
import type {
  AnswerGiven,
  ConversationForgotten,
  JsonObject,
  QuestionAsked,
  SourcePoint,
} from "../../core/event.ts";
import { timedId } from "../../core/timed-id.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { jsonObject } from "../json-object.ts";
import type { Output } from "../output.ts";
import { awaitAnswer } from "../question/await-answer.ts";
import { questionPath } from "../question/path.ts";
import { wholeNumber } from "../whole-number.ts";
import { useBackend } from "../with-backend.ts";

interface AskOptions extends PipelineOptions {
  readonly config: readonly string[];
  readonly topic?: string;
  readonly conversation?: string;
  readonly top?: number;
  readonly filter?: JsonObject;
  readonly minLsn?: string;
  readonly attribute: Readonly<Record<string, string>>;
  readonly timeout: number;
  readonly forget?: string;
}

const source = "/sluice/ask";
const forgetWithinMs = 30_000;

export function ask(output: Output): Command {
  return newPipelineCommand("ask", "Ask a running pipeline a question, and wait for its answer.", [
    'ask "how do I file expenses?" --config sluice.json',
    'ask "and where?" --conversation ada --config services/*.json',
    "ask --forget ada",
  ])
    .argument("[question]", "what to ask")
    .option("--config <file...>", "config files; default sluice.json", [])
    .option("--topic <name>", "topic to ask, if these files have several")
    .option("--conversation <id>", "what was said before in this conversation is remembered")
    .option("--top <n>", "how many passages to look at", wholeNumber(1, 100))
    .option("--filter <json>", "metadata filter, in the index's own language", jsonObject)
    .option("--min-lsn <n>", "answer only from an index that has seen this log position", toLsn)
    .option(
      "--attribute <name=value>",
      "an attribute of the question's event, e.g. tenant=acme; may be repeated",
      toAttribute,
      {},
    )
    .option("--timeout <s>", "how many seconds to wait for the answer", wholeNumber(1, 86_400), 60)
    .option("--forget <conversation>", "instead of asking: forget what was said in it")
    .action(async (text: string | undefined, options: AskOptions) => {
      if ((text === undefined) === (options.forget === undefined))
        throw new SluiceError("ask: say what to ask, or what to --forget.", {
          code: "cli.usage",
          fix: 'Write sluice ask "a question", or sluice ask --forget CONVERSATION.',
        });
      const pipeline = await openPipeline(options.config, options);
      const path = questionPath(pipeline, options.topic);
      await useBackend(pipeline, output, async ({ backend }) => {
        if (options.forget !== undefined) {
          const told = await forget(pipeline, backend, path.topic, options.forget);
          output.result(
            "ask",
            { forgotten: options.forget, by: told },
            () => `${output.paint("green", "✓")} ${told.join(", ")} will forget ${options.forget}`,
          );
          return;
        }
        const timeoutMs = options.timeout * 1_000;
        const question = questionOf(text ?? "", options);
        const answer = await awaitAnswer(backend, path, question, { timeoutMs });
        output.result("ask", answer, () => human(answer, output));
      });
    });
}

function questionOf(text: string, options: AskOptions): QuestionAsked {
  if (text.trim() === "")
    throw new SluiceError("ask: the question is empty.", {
      code: "cli.usage",
      fix: "Ask something.",
    });
  const { conversation, top: topK, filter, minLsn, attribute } = options;
  const id = `ask-${timedId()}`;
  return {
    ...attribute,
    specversion: "1.0",
    id,
    source,
    type: "dev.sluice.question.asked",
    time: new Date().toISOString(),
    correlationid: id,
    // Questions of a conversation are worked on in order.
    partitionkey: conversation ?? id,
    data: {
      text,
      ...(conversation !== undefined && { conversation }),
      ...(topK !== undefined && { topK }),
      ...(filter && { filter }),
      ...(minLsn !== undefined && { minLsn }),
    },
  };
}

/** Tells those who keep conversations, and nobody else who reads the topic. Resolves to their names. */
async function forget(
  { connectors }: Pipeline,
  { topics }: Backend,
  topic: string,
  conversation: string,
): Promise<readonly string[]> {
  const type = "dev.sluice.conversation.forgotten";
  const keepers = connectors.filter(
    (one) => one.kind !== "source" && one.from.includes(topic) && takes(one, type),
  );
  if (keepers.length === 0)
    throw new SluiceError(
      `ask: no connector that reads ${JSON.stringify(topic)} keeps conversations.`,
      {
        code: "cli.no-questions",
        fix: "Give the file of the one with `converse`.",
      },
    );
  const events = keepers.map(({ name }): ConversationForgotten => ({
    specversion: "1.0",
    id: `forget-${timedId()}`,
    source,
    type,
    time: new Date().toISOString(),
    partitionkey: conversation,
    audience: name,
    data: { conversation },
  }));
  await topics.publish(topic, events, { signal: AbortSignal.timeout(forgetWithinMs) });
  return keepers.map(({ name }) => name);
}

function human({ id, data }: AnswerGiven, { paint }: Output): string {
  const { text, isCut, citations, model, asOf } = data;
  const cited = citations.map(({ n, source, subject, score, passage, ...point }) => {
    const line = passage.replaceAll(/\s+/g, " ").trim();
    const short = line.length > 200 ? `${line.slice(0, 199)}…` : line;
    const where = `[${n}] ${paint("bold", `${source} ${subject}`)} ${paint("dim", score.toFixed(3))}`;
    return [where, short, ...pointText(point).map((told) => paint("dim", told))].join("\n    ");
  });
  const lsn = asOf?.lsn === undefined ? "" : `, index at ${asOf.lsn}`;
  const sources = (asOf?.sources ?? []).flatMap((point) =>
    pointText(point).map((told) => `${point.source} ${told}`),
  );
  const parts = [
    text,
    ...(isCut ? [paint("yellow", "The answer ended at the model's limit of tokens.")] : []),
    ...(cited.length > 0 ? [cited.join("\n")] : []),
    paint("dim", [...sources, `${model}${lsn}; answer ${id}`].join("\n")),
  ];
  return parts.join("\n\n");
}

/** How far a source had come, as far as it is known. */
function pointText({ position, time }: Pick<SourcePoint, "position" | "time">): readonly string[] {
  const told = [
    ...(time === undefined ? [] : [time]),
    ...(position ? [`position ${position}`] : []),
  ];
  return told.length > 0 ? [`as of ${told.join(", ")}`] : [];
}

function toLsn(text: string): string {
  if (/^\d{1,20}$/.test(text)) return text;
  throw new InvalidArgumentError("Write a log position: a decimal number.");
}

/** Of CloudEvents, but for those that say what an event is. */
const ours = new Set(
  "specversion id source type time subject sequence partitionkey correlationid audience data".split(
    " ",
  ),
);

function toAttribute(
  text: string,
  before: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const [, name = "", value = ""] = /^([a-z0-9]{1,20})=(.+)$/s.exec(text) ?? [];
  if (name !== "" && !ours.has(name)) return { ...before, [name]: value };
  throw new InvalidArgumentError("Write NAME=VALUE, the name in lower-case letters and digits.");
}
