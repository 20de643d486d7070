import { InvalidArgumentError, type Command } from "commander";
import type { SluiceEvent } from "../../core/event.ts";
import { newPipelineCommand, type PipelineOptions } from "../command.ts";
import type { Output } from "../output.ts";
import { refuseUnknownTopic } from "../topic-of.ts";
import { wholeNumber } from "../whole-number.ts";
import { withBackend } from "../with-backend.ts";

interface TapOptions extends PipelineOptions {
  readonly count?: number;
  readonly type?: string;
}

export function tap(output: Output): Command {
  return newPipelineCommand(
    "tap",
    [
      "Watch what is published to a topic from now on, until Ctrl-C.",
      "It subscribes to nothing and holds nothing back: who is too slow misses some, and is told how many.",
    ].join("\n"),
    ["tap articles sluice.json", "tap answers --count 1 --json | jq .data.text"],
    "write each event whole, as one line of JSON",
  )
    .argument("<topic>", "name of the topic")
    .argument("[files...]", "config files; default sluice.json")
    .option("--count <n>", "end after so many events", wholeNumber(1))
    .option("--type <prefix>", "only events whose type begins so", toPrefix)
    .action(async (topic: string, files: readonly string[], options: TapOptions) => {
      await withBackend(files, options, output, async ({ pipeline, backend }) => {
        // A topic of others may be watched too: where no file names any.
        if (Object.keys(pipeline.topics).length > 0) refuseUnknownTopic(pipeline, topic);
        const stop = new AbortController();
        for (const signal of ["SIGINT", "SIGTERM"] as const)
          process.once(signal, () => stop.abort());
        const events = await backend.topics.tap(topic, {
          signal: stop.signal,
          missed: (count) =>
            output.note(`… ${count.toLocaleString("en")} events missed: too many to show`),
        });
        output.note(output.paint("dim", `Watching ${topic}; Ctrl-C ends.`));
        let left = options.count ?? Infinity;
        for await (const event of events) {
          if (options.type !== undefined && !event.type.startsWith(options.type)) continue;
          if (output.isJson) process.stdout.write(`${JSON.stringify(event)}\n`);
          else output.line(lineOf(event, output));
          if (--left <= 0) break;
        }
        stop.abort();
      });
    });
}

function lineOf({ time, type, source, subject, id }: SluiceEvent, { paint }: Output): string {
  const what = type.replace(/^dev\.sluice\./, "");
  const about = subject === undefined ? source : `${source} ${subject}`;
  return `${paint("dim", time ?? "-")} ${paint("bold", what)} ${about} ${paint("dim", id)}`;
}

function toPrefix(text: string): string {
  if (text === "") throw new InvalidArgumentError("Write the beginning of a type.");
  return text;
}
