import { Argument, type Command } from "commander";
import { takes } from "../../core/config/flow.ts";
import type { Pipeline } from "../../core/config/pipeline.ts";
import { SluiceError } from "../../core/errors.ts";
import type { FeedbackGiven } from "../../core/event.ts";
import type { Topics } from "../../core/queue/queue.ts";
import { timedId } from "../../core/timed-id.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import type { Output } from "../output.ts";
import { ambiguous } from "../question/path.ts";
import { useBackend } from "../with-backend.ts";

interface FeedbackOptions extends PipelineOptions {
  readonly config: readonly string[];
  readonly topic?: string;
  readonly text?: string;
}

const ratings: Readonly<Record<string, FeedbackGiven["data"]["rating"]>> = { up: 1, down: -1 };
const publishWithinMs = 30_000;

export function feedback(output: Output): Command {
  return newPipelineCommand(
    "feedback",
    "Say whether an answer was good, to whoever wants to know.",
    [
      "feedback ask-0mxk3v2p1-9f8e7d6c~llm up",
      'feedback ask-0mxk3v2p1-9f8e7d6c~llm down --text "It is Kafka."',
    ],
  )
    .argument("<answer>", "id of the answer, as `sluice ask` shows it")
    .addArgument(new Argument("<rating>", "was it good?").choices(Object.keys(ratings)))
    .option("--config <file...>", "config files; default sluice.json", [])
    .option(
      "--topic <name>",
      "topic of feedback, if these files have several (and none called feedback) or none",
    )
    .option("--text <text>", "what was wrong, or right")
    .action(async (answer: string, rating: string, options: FeedbackOptions) => {
      const pipeline = await openPipeline(options.config, options);
      const topic = topicOf(pipeline, options.topic);
      const event = feedbackOn(answer, ratings[rating] ?? 0, options.text);
      await useBackend(pipeline, output, async ({ backend }) => {
        await checkRead(backend.topics, topic);
        const signal = AbortSignal.timeout(publishWithinMs);
        await backend.topics.publish(topic, [event], { signal });
        output.result(
          "feedback",
          { topic, id: event.id },
          () => `${output.paint("green", "✓")} published to ${topic}`,
        );
      });
    });
}

async function checkRead(topics: Pick<Topics, "subscribers">, topic: string): Promise<void> {
  if ((await topics.subscribers(topic)).length > 0) return;
  throw new SluiceError(`feedback: nobody reads the topic ${JSON.stringify(topic)} yet.`, {
    code: "cli.no-consumer",
    fix: "Start the service that takes feedback: sluice start FILE…",
  });
}

function topicOf({ connectors, topics }: Pipeline, wanted: string | undefined): string {
  const found = connectors.flatMap((one) =>
    one.kind !== "source" && takes(one, "dev.sluice.feedback.given") ? one.from : [],
  );
  // A service that learns from feedback reads answers too, from a topic of their own.
  const plain = found.includes("feedback") ? ["feedback"] : found;
  const names = [...new Set(wanted === undefined ? plain : [wanted])];
  const [first] = names;
  if (first === undefined || !Object.hasOwn(topics, first))
    throw new SluiceError(
      first === undefined
        ? "feedback: no connector of these files takes feedback."
        : `feedback: no connector of these files names the topic ${JSON.stringify(first)}.`,
      {
        code: "cli.no-feedback",
        fix: "Give the file of the service that reads feedback, or name its topic: --topic NAME.",
      },
    );
  if (names.length > 1) throw ambiguous("feedback", names);
  return first;
}

function feedbackOn(
  answer: string,
  rating: FeedbackGiven["data"]["rating"],
  comment: string | undefined,
): FeedbackGiven {
  // Stages add to an id what they are called: an answer's begins with its question's.
  const [question = answer] = answer.split("~");
  return {
    specversion: "1.0",
    id: `feedback-${timedId()}`,
    source: "/sluice/feedback",
    type: "dev.sluice.feedback.given",
    time: new Date().toISOString(),
    correlationid: question,
    partitionkey: answer,
    data: { answer, rating, ...(comment !== undefined && { comment }) },
  };
}
