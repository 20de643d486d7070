import { readFileSync } from "node:fs";
import { CloudEvent } from "cloudevents";
import type { Command } from "commander";
import { SluiceError } from "../../core/errors.ts";
import type { SluiceEvent } from "../../core/event.ts";
import { newPipelineCommand, type PipelineOptions } from "../command.ts";
import type { Output } from "../output.ts";
import { refuseUnknownTopic } from "../topic-of.ts";
import { wholeNumber } from "../whole-number.ts";
import { withBackend } from "../with-backend.ts";

interface PublishOptions extends PipelineOptions {
  readonly config: readonly string[];
  readonly timeout: number;
}

export function publish(output: Output): Command {
  return newPipelineCommand(
    "publish",
    "Publish CloudEvents to a topic. Done when every subscription has them.",
    [
      "publish questions question.json",
      `echo '{"specversion":"1.0","id":"1","source":"/me","type":"com.example.note"}' | sluice publish notes -`,
    ],
  )
    .argument("<topic>", "name of a topic of the config files")
    .argument("<file>", "CloudEvents as JSON: one, an array, or one a line; - is standard input")
    .option("--config <file...>", "config files; default sluice.json", [])
    .option(
      "--timeout <seconds>",
      "how long a topic that is full is waited for",
      wholeNumber(1),
      30,
    )
    .action(async (topic: string, file: string, options: PublishOptions) => {
      const events = eventsOf(read(file), file);
      await withBackend(options.config, options, output, async ({ pipeline, backend }) => {
        refuseUnknownTopic(pipeline, topic);
        const signal = AbortSignal.timeout(options.timeout * 1_000);
        await backend.topics.publish(topic, events, { signal }).catch((error: unknown) => {
          throw signal.aborted ? held(topic, options.timeout) : error;
        });
        const count = events.length;
        output.result(
          "publish",
          { topic, events: count },
          () =>
            `${output.paint("green", "✓")} ${count} event${count === 1 ? "" : "s"} published to ${topic}`,
        );
      });
    });
}

function read(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (cause) {
    throw new SluiceError(`sluice: ${file} cannot be read (${(cause as Error).message}).`, {
      code: "cli.unreadable",
      fix: "Name a file of CloudEvents as JSON, or - for standard input.",
      cause,
    });
  }
}

/** Each is checked by the CloudEvents SDK: they come from outside. */
function eventsOf(text: string, file: string): readonly SluiceEvent[] {
  return valuesOf(text, file).map((value, at) => {
    try {
      const event = new CloudEvent(value as object); // it throws on what is none
      return JSON.parse(JSON.stringify(event)) as SluiceEvent;
    } catch (cause) {
      throw noEvent(
        `event ${at + 1} of ${file} is no CloudEvent: ${(cause as Error).message}`,
        cause,
      );
    }
  });
}

function valuesOf(text: string, file: string): readonly unknown[] {
  const parsed = parse(text);
  if (parsed) return Array.isArray(parsed.value) ? parsed.value : [parsed.value];
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line, at) => {
      const one = parse(line);
      if (one) return one.value;
      throw noEvent(`line ${at + 1} of ${file} is no JSON`);
    });
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined; // one a line, or no JSON at all
  }
}

function noEvent(what: string, cause?: unknown): SluiceError {
  return new SluiceError(`sluice: ${what}.`, {
    code: "cli.no-event",
    fix: 'Write { "specversion": "1.0", "id": …, "source": …, "type": …, "data": … }.',
    cause,
  });
}

function held(topic: string, seconds: number): SluiceError {
  return new SluiceError(
    `sluice: ${topic} took nothing for ${seconds} s: nobody subscribes to it, or it is full.`,
    {
      code: "cli.held",
      fix: "See `sluice subscriptions`; start what reads the topic.",
    },
  );
}
