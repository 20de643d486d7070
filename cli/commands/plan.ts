import type { Command } from "commander";
import type { LoadedPipeline } from "../../core/config/load.ts";
import type { ResolvedConnector } from "../../core/config/pipeline.ts";
import { secretsOf } from "../../core/config/secrets.ts";
import { configChanges, type ConfigChange } from "../../core/runtime/config-changes.ts";
import { estimateSink, type Estimate } from "../../core/runtime/estimate.ts";
import { isUntouched } from "../../core/runtime/read-status.ts";
import {
  newPipelineCommand,
  noteWarnings,
  openPipeline,
  type PipelineOptions,
} from "../command.ts";
import { quietLog } from "../log.ts";
import type { Output } from "../output.ts";
import { openProgressLine } from "../progress-line.ts";
import { wholeNumber } from "../whole-number.ts";
import { pathOf, placeText } from "./validate.ts";
import { useBackend } from "../with-backend.ts";

interface PlanOptions extends PipelineOptions {
  readonly limit: number;
}

export function plan(output: Output): Command {
  return newPipelineCommand(
    "plan",
    [
      "Say what a pipeline would do, and what its first run would embed: texts, tokens and their price.",
      "Sources are read and transforms run, but nothing is published, embedded or written.",
      "Where it ran before with another config, also what each change means for what is there already.",
    ].join("\n"),
    ["plan sluice.json", "plan sluice.json --limit 1000 --json"],
  )
    .argument("[files...]", "config files; default sluice.json")
    .option("--limit <n>", "most records to read for a sink", wholeNumber(1), 1_000_000)
    .action(async (files: readonly string[], options: PlanOptions) => {
      const pipeline = await openPipeline(files, options);
      noteWarnings(pipeline, output);
      const log = quietLog(output.note, secretsOf(pipeline));
      const { signal } = new AbortController();
      const line = openProgressLine(output);
      const estimates: Estimate[] = [];
      try {
        for (const connector of pipeline.connectors) {
          if (connector.kind !== "sink") continue;
          line.say(`reading what goes to ${connector.name}`);
          const estimate = await estimateSink(pipeline, connector, { ...options, log, signal });
          if (estimate) estimates.push(estimate);
        }
      } finally {
        line.end();
      }
      const changes = await changesOf(pipeline, output);
      const { project, queue, connectors } = pipeline;
      const result = {
        project,
        queue: placeText(queue),
        connectors: connectors.map((one) => ({
          name: one.name,
          kind: one.kind,
          path: pathOf(one),
        })),
        changes,
        estimates,
      };
      output.result("plan", result, () => human(connectors, changes, estimates, output));
    });
}

/** Where the pipeline has run before. Looking for that makes no queue. */
async function changesOf(
  pipeline: LoadedPipeline,
  output: Output,
): Promise<readonly ConfigChange[]> {
  if (isUntouched(pipeline)) return [];
  return await useBackend(pipeline, output, async ({ backend }) => {
    return await configChanges(pipeline, backend.state);
  });
}

function human(
  connectors: readonly ResolvedConnector[],
  changes: readonly ConfigChange[],
  estimates: readonly Estimate[],
  { paint }: Output,
): string {
  const paths = connectors.map((one) => `${paint("bold", one.name)}  ${pathOf(one)}`);
  const changed =
    changes.length > 0 ? [changes.map((one) => changeLines(one, paint)).join("\n")] : [];
  return [paths.join("\n"), ...changed, ...estimates.map((one) => block(one, paint))].join("\n\n");
}

function changeLines(change: ConfigChange, paint: Output["paint"]): string {
  const { connector, path, before, after, effect, means } = change;
  const style = { apply: "green", resync: "yellow", refuse: "red" } as const;
  const short = (value: unknown) => {
    const text = JSON.stringify(value);
    return text.length > 60 ? `${text.slice(0, 59)}…` : text;
  };
  return [
    `${paint(style[effect], effect)}  ${paint("bold", connector)} ${path}: ${short(before)} → ${short(after)}`,
    `  ${means}`,
  ].join("\n");
}

function block(estimate: Estimate, paint: Output["paint"]): string {
  const { sink, model, records, refused, documents, chunks, texts, tokens, dollars } = estimate;
  const n = (value: number) => value.toLocaleString("en");
  const lines = [
    `${paint("bold", sink)}  first run, ${model}`,
    `  ${n(records)} records → ${n(documents)} documents → ${n(chunks)} vectors`,
    `  ${n(texts)} texts to embed, ${n(tokens)} tokens${dollars === undefined ? "" : `, about $${dollars.toFixed(2)}`}`,
  ];
  if (refused > 0) lines.push(`  ${paint("yellow", `${n(refused)} would be dead letters`)}`);
  if (estimate.limit !== undefined)
    lines.push(`  reading ended at ${n(estimate.limit)} records: there may be more`);
  for (const { source, why } of estimate.skipped) lines.push(`  ${source} is not counted: ${why}`);
  return lines.join("\n");
}
