import { InvalidArgumentError, type Command } from "commander";
import type { Pipeline, SinkConnector } from "../../core/config/pipeline.ts";
import { secretsOf } from "../../core/config/secrets.ts";
import type { Log } from "../../core/connector.ts";
import { PoisonError, SluiceError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/event.ts";
import type { Match } from "../../core/vectors.ts";
import { newPipelineCommand, openPipeline, type PipelineOptions } from "../command.ts";
import { connectorOf } from "../connector-of.ts";
import { quietLog } from "../log.ts";
import { jsonObject } from "../json-object.ts";
import type { Output } from "../output.ts";
import { openSinkReader } from "../reader.ts";
import { wholeNumber } from "../whole-number.ts";

const timeoutMs = 60_000;

interface SearchOptions extends PipelineOptions {
  readonly config: readonly string[];
  readonly top: number;
  readonly filter?: JsonObject;
  readonly namespace?: string;
}

export function search(output: Output): Command {
  return newPipelineCommand("search", "Find what a sink's index holds nearest to a text.", [
    'search search "how do I file expenses?" --config sluice.json',
    `search search "expenses" --top 3 --filter '{"lang":{"$eq":"en"}}' --json`,
  ])
    .argument("<sink>", "name of the sink in the config files")
    .argument("<text>", "what to look for", toQuestion)
    .option("--config <file...>", "config files; default sluice.json", [])
    .option("--top <n>", "how many matches", wholeNumber(1, 1_000), 5)
    .option("--namespace <name>", "where to look, if the sink spreads its documents over several")
    .option("--filter <json>", "metadata filter, in the index's own language", jsonObject)
    .action(async (name: string, text: string, options: SearchOptions) => {
      const pipeline = await openPipeline(options.config, options);
      const sink = connectorOf(pipeline, name, "sink");
      const log = quietLog(output.note, secretsOf(pipeline));
      const result = await ask(pipeline, sink, log, { text, ...options });
      output.result("search", result, () => human(result.matches, output));
    });
}

async function ask(
  pipeline: Pipeline,
  connector: SinkConnector,
  log: Log,
  question: {
    readonly text: string;
    readonly top: number;
    readonly filter?: JsonObject;
    readonly namespace?: string;
  },
) {
  const signal = AbortSignal.timeout(timeoutMs);
  const reader = await openSinkReader(pipeline, connector, { log, signal });
  try {
    const { text, top: topK, filter, namespace } = question;
    const where = { ...(filter && { filter }), ...(namespace !== undefined && { namespace }) };
    return await reader.search({ text, topK, ...where }, { signal });
  } catch (error) {
    throw error instanceof PoisonError ? refused(connector.name, error, question.filter) : error;
  } finally {
    await reader.close();
  }
}

/** What dead-letters an event is, of a question, wrong input: its own fix speaks of events. */
function refused(name: string, cause: PoisonError, filter?: JsonObject): SluiceError {
  return new SluiceError(`${name}: refuses the question: ${cause.message}`, {
    code: "cli.refused-question",
    fix: filter
      ? `Correct --filter ${JSON.stringify(filter)}: it takes the index's own language.`
      : "Ask with another text.",
  });
}

function human(matches: readonly Match[], { paint }: Output): string {
  if (matches.length === 0) return "Nothing found.";
  return matches
    .map(({ id, score, metadata }, at) => {
      const { text = "", _subject: subject = id } = metadata;
      const passage = String(text).replaceAll(/\s+/g, " ").trim();
      const short = passage.length > 300 ? `${passage.slice(0, 299)}…` : passage;
      return `${at + 1}. ${paint("bold", String(subject))} ${paint("dim", score.toFixed(3))}\n   ${short}`;
    })
    .join("\n");
}

function toQuestion(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Give a text to look for.");
  return text;
}
